import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { Address } from './address.js';
import { LOCAL_UNPACKER, parseAddress, showAddress, UNPACKER_PORT } from './address.js';
import type { Certificates } from './certificates.js';
import { CERTIFICATE_DIRECTORY, readCertificates } from './certificates.js';
import type { Ask } from './caller.js';
import { Caller, secure, within } from './caller.js';
import { UnpackerCaller } from './capture-codec.js';
import { CHANNEL_OPTIONS } from './channel-options.js';
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

/** The first unpack of a large image to a slow disk; whoever has less time has a signal. */
const UNPACK_SECONDS = 6 * 3600;
/** A capture is held while its blocks are sent to where they go. */
const CAPTURE_SECONDS = 24 * 3600;

const AGENT: Wanted = { what: 'agent', start: 'image-unpacker serve', option: '--unpacker' };

/** How an agent is reached. */
export interface ConnectOptions {
  /** The directory of the certificates; TCP takes them. */
  certs?: string | undefined;
  /** The name that the agent's certificate must have; default: the host that is called. */
  serverName?: string | undefined;
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
  { certs = CERTIFICATE_DIRECTORY, serverName, patience = 0, signal }: ConnectOptions = {},
): Promise<UnpackerClient> {
  const parsed = parseAddress(address, UNPACKER_PORT);
  const where = parsed.kind === 'tcp' ? { ...parsed, serverName } : parsed;
  const certificates = where.kind === 'tcp' ? await readCertificates(certs) : undefined;
  await probe(where, AGENT, { certificates, patience, signal });
  return new UnpackerClient(where, certificates);
}

/** An agent elsewhere. */
export class UnpackerClient implements Unpacker {
  readonly #address: Address;
  readonly #caller: Caller;
  readonly #client: UnpackerServiceClient;

  constructor(address: Address, certificates: Certificates | undefined) {
    this.#address = address;
    this.#caller = new Caller(address, certificates, AGENT);
    const { secrets, options } = secure(address, certificates);
    this.#client = new UnpackerCaller(showAddress(address), secrets, { ...CHANNEL_OPTIONS, ...options });
  }

  async unpack(request: UnpackRequest, options: CallOptions = {}): Promise<UnpackResult> {
    throwIfAborted(options.signal);
    const call = this.#client.unpack({ ...request, scrub: request.scrub === true }, within(UNPACK_SECONDS));
    let result: UnpackResult | undefined;
    await this.#caller.watch(`Unpacking ${request.image}`, call, options.signal, async () => {
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
      this.#caller.explain(reason, `Capturing ${stream}`, options.signal);
    return RemoteCapture.open(call, { stream, digest }, options, explain);
  }

  async status(options: CallOptions = {}): Promise<UnpackerStatus> {
    const ask: Ask<GetStatusResponse> = (...how) => this.#client.getStatus({}, ...how);
    return decodeStatus(await this.#caller.ask('Asking for the status', options.signal, ask));
  }

  async devices(options: CallOptions = {}): Promise<DeviceStatus[]> {
    const ask: Ask<ListDevicesResponse> = (...how) => this.#client.listDevices({}, ...how);
    return (await this.#caller.ask('Asking for devices', options.signal, ask)).devices.map(decodeDevice);
  }

  async pin(stream: string, device: string, options: CallOptions = {}): Promise<StreamStatus> {
    const ask: Ask<PinStreamResponse> = (...how) => this.#client.pinStream({ stream, device }, ...how);
    const response = await this.#caller.ask(`Pinning ${stream}`, options.signal, ask);
    if (response.stream !== undefined) return decodeStream(response.stream);
    throw this.#noResult();
  }

  async forget(stream: string, removeVolume: boolean, options: CallOptions = {}): Promise<void> {
    const request = { stream, removeVolume };
    const ask: Ask<ForgetStreamResponse> = (...how) => this.#client.forgetStream(request, ...how);
    await this.#caller.ask(`Forgetting ${stream}`, options.signal, ask);
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }

  #noResult(): ImageUnpackerError {
    const where = showAddress(this.#address);
    return new ImageUnpackerError('INTERNAL', `The agent at ${where} answered without a result`);
  }
}
