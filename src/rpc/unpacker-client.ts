import type {
  CallOptions as GrpcOptions,
  ChannelCredentials,
  ChannelOptions,
  ClientReadableStream,
  ServiceError,
} from '@grpc/grpc-js';
import { credentials, Metadata, status } from '@grpc/grpc-js';
import { isIP } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import { checkServerIdentity } from 'node:tls';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { Address } from './address.js';
import { LOCAL_UNPACKER, parseAddress, showAddress, UNPACKER_PORT } from './address.js';
import type { Certificates } from './certificates.js';
import { CERTIFICATE_DIRECTORY, readCertificates } from './certificates.js';
import { UnpackerCaller } from './capture-codec.js';
import { CHANNEL_OPTIONS } from './channel-options.js';
import { fromStatus } from './error-status.js';
import type {
  ForgetStreamResponse,
  GetStatusResponse,
  ListDevicesResponse,
  PinStreamResponse,
  UnpackerServiceClient,
  UnpackResponse,
} from './gen/image_unpacker/v1/unpacker.js';
import { probe, type Wanted } from './probe.js';
import { RemoteCapture } from './remote-capture.js';
import {
  decodeDevice,
  decodeProgress,
  decodeResult,
  decodeStatus,
  decodeStream,
} from './unpacker-messages.js';
import type {
  CallOptions,
  DeviceStatus,
  DiskCapture,
  StreamStatus,
  Unpacker,
  UnpackerStatus,
  UnpackRequest,
  UnpackResult,
} from './unpacker.js';

/** What is answered from memory and a few files. */
const SHORT_CALL_SECONDS = 30;
/** The first unpack of a large image to a slow disk; whoever has less time has a signal. */
const UNPACK_SECONDS = 6 * 3600;
/** A capture is held while its blocks are sent to where they go. */
const CAPTURE_SECONDS = 24 * 3600;

const AGENT: Wanted = { what: 'agent', start: 'image-unpacker serve', option: '--unpacker' };

/** How an agent is reached. */
export interface ConnectOptions {
  /** The directory of the certificates; TCP takes them. */
  certs?: string | undefined;
  /** How long it may take until an agent listens there, in seconds: one that is being started. */
  patience?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Connects to the agent at `unix:PATH` or `HOST:PORT`. Throws `USAGE` for what is no address, `TIMEOUT` when no
 * agent is there, `CONFIGURATION` for certificates that are not good at either end, `NO_PERMISSION`.
 */
export async function connectUnpacker(
  address: string = LOCAL_UNPACKER,
  { certs = CERTIFICATE_DIRECTORY, patience = 0, signal }: ConnectOptions = {},
): Promise<UnpackerClient> {
  const where = parseAddress(address, UNPACKER_PORT);
  const certificates = where.kind === 'tcp' ? await readCertificates(certs) : undefined;
  await probe(where, AGENT, { certificates, patience, signal });
  return new UnpackerClient(where, certificates);
}

/** An agent elsewhere. */
export class UnpackerClient implements Unpacker {
  readonly #address: Address;
  readonly #certificates: Certificates | undefined;
  readonly #client: UnpackerServiceClient;

  constructor(address: Address, certificates: Certificates | undefined) {
    this.#address = address;
    this.#certificates = certificates;
    const { secrets, options } = secure(address, certificates);
    this.#client = new UnpackerCaller(showAddress(address), secrets, { ...CHANNEL_OPTIONS, ...options });
  }

  async unpack(request: UnpackRequest, options: CallOptions = {}): Promise<UnpackResult> {
    throwIfAborted(options.signal);
    const call = this.#client.unpack(request, within(UNPACK_SECONDS));
    let result: UnpackResult | undefined;
    await this.#watch(`Unpacking ${request.image}`, call, options, async () => {
      for await (const { event } of call as AsyncIterable<UnpackResponse>) {
        if (event?.$case === 'result') result = decodeResult(event.value);
        if (event?.$case === 'progress') options.onProgress?.(decodeProgress(event.value));
      }
    });
    if (result === undefined) throw this.#noResult();
    return result;
  }

  async capture(stream: string, digest: string, options: CallOptions = {}): Promise<DiskCapture> {
    throwIfAborted(options.signal);
    const call = this.#client.capture(within(CAPTURE_SECONDS));
    const explain = (reason: unknown): Promise<unknown> =>
      this.#explain(reason, `Capturing ${stream}`, options.signal);
    return RemoteCapture.open(call, { stream, digest }, options, explain);
  }

  async status(options: CallOptions = {}): Promise<UnpackerStatus> {
    const ask: Ask<GetStatusResponse> = (...how) => this.#client.getStatus({}, ...how);
    return decodeStatus(await this.#ask('Asking for the status', options, ask));
  }

  async devices(options: CallOptions = {}): Promise<DeviceStatus[]> {
    const ask: Ask<ListDevicesResponse> = (...how) => this.#client.listDevices({}, ...how);
    return (await this.#ask('Asking for devices', options, ask)).devices.map(decodeDevice);
  }

  async pin(stream: string, device: string, options: CallOptions = {}): Promise<StreamStatus> {
    const ask: Ask<PinStreamResponse> = (...how) => this.#client.pinStream({ stream, device }, ...how);
    const response = await this.#ask(`Pinning ${stream}`, options, ask);
    if (response.stream !== undefined) return decodeStream(response.stream);
    throw this.#noResult();
  }

  async forget(stream: string, removeVolume: boolean, options: CallOptions = {}): Promise<void> {
    const request = { stream, removeVolume };
    const ask: Ask<ForgetStreamResponse> = (...how) => this.#client.forgetStream(request, ...how);
    await this.#ask(`Forgetting ${stream}`, options, ask);
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }

  async #ask<A>(doing: string, { signal }: CallOptions, ask: Ask<A>): Promise<A> {
    throwIfAborted(signal);
    let stop = (): void => undefined;
    try {
      return await new Promise<A>((resolve, reject) => {
        const call = ask(new Metadata(), within(SHORT_CALL_SECONDS), (failure, response) => {
          if (failure === null) resolve(response);
          else reject(failure);
        });
        stop = (): void => {
          call.cancel();
        };
        signal?.addEventListener('abort', stop, { once: true });
      });
    } catch (reason) {
      throw await this.#explain(reason, doing, signal);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async #watch(
    doing: string,
    call: ClientReadableStream<unknown>,
    { signal }: CallOptions,
    work: () => Promise<void>,
  ): Promise<void> {
    const stop = (): void => {
      call.cancel();
    };
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await work();
    } catch (reason) {
      throw await this.#explain(reason, doing, signal);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  #noResult(): ImageUnpackerError {
    const where = showAddress(this.#address);
    return new ImageUnpackerError('INTERNAL', `The agent at ${where} answered without a result`);
  }

  /** The error of a call that failed; when the agent was not reached, or has gone, why. */
  async #explain(reason: unknown, doing: string, signal: AbortSignal | undefined): Promise<unknown> {
    if (!isServiceError(reason)) return reason;
    const error = fromStatus(reason, doing);
    // What nobody here has cancelled the agent has, because it stops.
    const stopped = error.code === 'CANCELLED' && signal?.aborted !== true;
    const lost = reason.code === status.UNAVAILABLE && error.code === 'INTERNAL';
    if (!stopped && !lost) return error;
    const options = { certificates: this.#certificates, patience: 0, signal: undefined };
    const unreached: unknown = await probe(this.#address, AGENT, options).then(
      () => undefined,
      (why: unknown) => why,
    );
    const what = stopped ? 'the agent is being stopped' : 'the connection to the agent was lost';
    const again = `${doing}: ${what}; run it again, which carries on`;
    return unreached ?? new ImageUnpackerError('TIMEOUT', again, {}, reason);
  }
}

/** What a channel to that address is opened with. */
function secure(
  address: Address,
  certificates: Certificates | undefined,
): { secrets: ChannelCredentials; options: ChannelOptions } {
  if (address.kind === 'unix' || certificates === undefined) {
    return { secrets: credentials.createInsecure(), options: {} };
  }
  const { ca, key, cert } = certificates;
  const { host } = address;
  if (isIP(host) === 0) return { secrets: credentials.createSsl(ca, key, cert), options: {} };
  // TLS takes no address where a name belongs (RFC 6066, section 3); the certificate must have it all the same.
  const checkIdentity = (_name: string, peer: PeerCertificate): Error | undefined =>
    checkServerIdentity(host, peer);
  return {
    secrets: credentials.createSsl(ca, key, cert, { checkServerIdentity: checkIdentity }),
    options: { 'grpc.ssl_target_name_override': 'address.invalid' },
  };
}

/** Makes a call with one answer. */
type Ask<A> = (
  metadata: Metadata,
  options: Partial<GrpcOptions>,
  answered: (failure: ServiceError | null, response: A) => void,
) => { cancel(): void };

function within(seconds: number): Partial<GrpcOptions> {
  return { deadline: Date.now() + seconds * 1000 };
}

function isServiceError(reason: unknown): reason is ServiceError {
  return reason instanceof Error && 'code' in reason && 'metadata' in reason && 'details' in reason;
}
