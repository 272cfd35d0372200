import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectSecurely } from 'node:tls';
import { cancelled, ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { Address } from './address.js';
import { showAddress } from './address.js';
import type { Certificates } from './certificates.js';

/** What a server sends first of all is a frame of settings (RFC 9113, section 3.4): then it has accepted us. */
const ANSWER_SECONDS = 10;
/** What a client begins with, and its own frame of settings, an empty one. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
/** How often a server that is being started is looked for. */
const AGAIN_MILLISECONDS = 50;

/** What is looked for, and what a person may do who does not find it. */
export interface Wanted {
  /** "agent", "image server". */
  what: string;
  /** The command that starts one, without its address. */
  start: string;
  /** The option that names it. */
  option: string;
}

/** How a server is looked for. */
export interface ProbeOptions {
  certificates: Certificates | undefined;
  /** How long it may take until somebody listens there, in seconds. */
  patience: number;
  signal: AbortSignal | undefined;
}

/**
 * Connects once and waits until the server has accepted the connection, so that a failure can be told for what
 * it is. Throws `TIMEOUT` when nobody listens there, `CONFIGURATION` when the certificate of either end is
 * refused, `CANCELLED`.
 */
export async function probe(address: Address, wanted: Wanted, options: ProbeOptions): Promise<void> {
  const deadline = performance.now() + options.patience * 1000;
  for (;;) {
    throwIfAborted(options.signal);
    try {
      await tryOnce(address, options);
      return;
    } catch (reason) {
      if (!isAbsence(reason) || performance.now() >= deadline) throw explain(reason, address, wanted);
    }
    await sleep(AGAIN_MILLISECONDS);
  }
}

/** Rejects with the error of the socket or of TLS, whose `code` says what is wrong. */
async function tryOnce(address: Address, { certificates, signal }: ProbeOptions): Promise<void> {
  const socket = open(address, certificates);
  const stop = (): void => {
    socket.destroy(cancelled());
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    // A port of two protocols does not speak first.
    if (address.kind === 'unix') socket.write(PREFACE);
    await new Promise<void>((resolve, reject) => {
      let secure = false;
      socket.once('secureConnect', () => (secure = true));
      socket.once('data', () => {
        resolve();
      });
      socket.once('error', (reason: NodeJS.ErrnoException) => {
        reject(secure && reason.code === 'ECONNRESET' ? refusal() : reason);
      });
      socket.once('close', () => {
        reject(secure ? refusal() : fault('CLOSED', 'the connection was closed'));
      });
      socket.setTimeout(ANSWER_SECONDS * 1000, () => {
        reject(fault('SILENT', `it did not answer within ${String(ANSWER_SECONDS)} s`));
      });
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    socket.destroy();
  }
}

function open(address: Address, certificates: Certificates | undefined): Socket {
  if (address.kind === 'unix') return connect(address.path);
  const { host, port, serverName } = address;
  const name = serverName === undefined ? {} : { servername: serverName };
  return connectSecurely({ host, port, ...name, ...certificates, ALPNProtocols: ['h2'] });
}

/** A server that has shown its certificate and then leaves does not like ours; not all of them say so. */
function refusal(): NodeJS.ErrnoException {
  return fault('REFUSED', 'it refuses your certificate');
}

function fault(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}

const ABSENT = new Set(['ENOENT', 'ECONNREFUSED']);

function isAbsence(reason: unknown): boolean {
  return ABSENT.has((reason as NodeJS.ErrnoException).code ?? '');
}

/** What is wrong with which certificate, by the codes of OpenSSL and Node. */
const CERTIFICATE_FAULTS: readonly [code: RegExp, what: string][] = [
  [/^CERT_HAS_EXPIRED$/, 'its certificate has expired; renew it there'],
  [/^CERT_NOT_YET_VALID$/, 'its certificate is not valid yet; check the clocks of both machines'],
  [
    /^(DEPTH_ZERO_)?SELF_SIGNED_CERT|^UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|^CERT_SIGNATURE_FAILURE$/,
    'its certificate is not from an authority in your ca.pem; use the set of certificates that it uses',
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'its certificate is for another name; connect by the name that it is for, or say that name (--unpacker-server-name)',
  ],
  [/^INVALID_PURPOSE$/, 'its certificate is not one of a server'],
  [
    /^REFUSED$|^ERR_SSL_\w*ALERT_(CERTIFICATE|UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|HANDSHAKE_FAILURE)/,
    'it refuses your certificate; use one from an authority that it trusts, and that has not expired',
  ],
  [
    /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)|^EPROTO$/,
    'what listens there speaks no TLS; check the port',
  ],
];

function explain(reason: unknown, address: Address, wanted: Wanted): unknown {
  if (reason instanceof ImageUnpackerError) return reason;
  const { code = '', message } = reason as NodeJS.ErrnoException;
  const where = showAddress(address);
  if (isAbsence(reason)) {
    const start = `start one with '${wanted.start} --listen ${where}', or name another with ${wanted.option}`;
    return new ImageUnpackerError('TIMEOUT', `No ${wanted.what} listens at ${where}; ${start}`, {}, reason);
  }
  if (code === 'EACCES' || (address.kind === 'unix' && (code === 'CLOSED' || code === 'ECONNRESET'))) {
    const why = 'it serves root and its own user only';
    const message = `The ${wanted.what} at ${where} refuses this user: ${why}`;
    return new ImageUnpackerError('NO_PERMISSION', message, {}, reason);
  }
  const what = CERTIFICATE_FAULTS.find(([pattern]) => pattern.test(code))?.[1];
  const failed = `Cannot connect to the ${wanted.what} at ${where}`;
  if (what !== undefined) return new ImageUnpackerError('CONFIGURATION', `${failed}: ${what}`, {}, reason);
  return new ImageUnpackerError('TIMEOUT', `${failed}: ${message}`, {}, reason);
}
