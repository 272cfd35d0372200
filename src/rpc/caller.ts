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
import type { Certificates } from './certificates.js';
import { fromStatus } from './error-status.js';
import type { Wanted } from './probe.js';
import { probe } from './probe.js';

/** What is answered from memory and a few files. */
const SHORT_CALL_SECONDS = 30;

/** Makes a call with one answer. */
export type Ask<A> = (
  metadata: Metadata,
  options: Partial<GrpcOptions>,
  answered: (failure: ServiceError | null, response: A) => void,
) => { cancel(): void };

/** Makes calls of one server: each can be cancelled, has its time, and fails with an error that says why. */
export class Caller {
  readonly #address: Address;
  readonly #certificates: Certificates | undefined;
  readonly #wanted: Wanted;

  constructor(address: Address, certificates: Certificates | undefined, wanted: Wanted) {
    this.#address = address;
    this.#certificates = certificates;
    this.#wanted = wanted;
  }

  /** Makes a call with one answer; `doing` is what failed when it does. */
  async ask<A>(
    doing: string,
    signal: AbortSignal | undefined,
    ask: Ask<A>,
    seconds = SHORT_CALL_SECONDS,
  ): Promise<A> {
    throwIfAborted(signal);
    let stop = (): void => undefined;
    try {
      return await new Promise<A>((resolve, reject) => {
        const call = ask(new Metadata(), within(seconds), (failure, response) => {
          if (failure === null) resolve(response);
          else reject(failure);
        });
        stop = (): void => {
          call.cancel();
        };
        signal?.addEventListener('abort', stop, { once: true });
      });
    } catch (reason) {
      throw await this.explain(reason, doing, signal);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Reads the answers of a call in `work`. */
  async watch(
    doing: string,
    call: ClientReadableStream<unknown>,
    signal: AbortSignal | undefined,
    work: () => Promise<void>,
  ): Promise<void> {
    const stop = (): void => {
      call.cancel();
    };
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await work();
    } catch (reason) {
      throw await this.explain(reason, doing, signal);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** The error of a call that failed; when the server was not reached, or has gone, why. */
  async explain(reason: unknown, doing: string, signal: AbortSignal | undefined): Promise<unknown> {
    if (!isServiceError(reason)) return reason;
    const error = fromStatus(reason, doing);
    // What nobody here has cancelled the server has, because it stops.
    const stopped = error.code === 'CANCELLED' && signal?.aborted !== true;
    const lost = reason.code === status.UNAVAILABLE && error.code === 'INTERNAL';
    if (!stopped && !lost) return error;
    const options = { certificates: this.#certificates, patience: 0, signal: undefined };
    const unreached: unknown = await probe(this.#address, this.#wanted, options).then(
      () => undefined,
      // Who was let in before is not refused now: a server that is killed just then looks like that.
      (why: unknown) => (why instanceof ImageUnpackerError && why.code === 'NO_PERMISSION' ? undefined : why),
    );
    const { what } = this.#wanted;
    const happened = stopped ? `the ${what} is being stopped` : `the connection to the ${what} was lost`;
    const again = `${doing}: ${happened}; run it again, which carries on`;
    return unreached ?? new ImageUnpackerError('TIMEOUT', again, {}, reason);
  }
}

/** What a channel to that address is opened with. */
export function secure(
  address: Address,
  certificates: Certificates | undefined,
): { secrets: ChannelCredentials; options: ChannelOptions } {
  if (address.kind === 'unix' || certificates === undefined) {
    return { secrets: credentials.createInsecure(), options: {} };
  }
  const { ca, key, cert } = certificates;
  const { host, serverName } = address;
  if (serverName !== undefined) {
    const options = { 'grpc.ssl_target_name_override': serverName };
    return { secrets: credentials.createSsl(ca, key, cert), options };
  }
  if (isIP(host) === 0) return { secrets: credentials.createSsl(ca, key, cert), options: {} };
  // TLS takes no address where a name belongs (RFC 6066, section 3); the certificate must have it all the same.
  const checkIdentity = (_name: string, peer: PeerCertificate): Error | undefined =>
    checkServerIdentity(host, peer);
  return {
    secrets: credentials.createSsl(ca, key, cert, { checkServerIdentity: checkIdentity }),
    options: { 'grpc.ssl_target_name_override': 'address.invalid' },
  };
}

/** Options of a call that must end within so many seconds. */
export function within(seconds: number): Partial<GrpcOptions> {
  return { deadline: Date.now() + seconds * 1000 };
}

function isServiceError(reason: unknown): reason is ServiceError {
  return reason instanceof Error && 'code' in reason && 'metadata' in reason && 'details' in reason;
}
