import { setMaxListeners } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerCertificate } from 'node:tls';
import { checkServerIdentity } from 'node:tls';
import type { ErrorCode } from '../image/error.js';
import { cancelled, ERROR_CODES, ImageUnpackerError } from '../image/error.js';
import { gathered } from '../store/gathered.js';
import type { Address } from './address.js';
import { showAddress } from './address.js';
import type { Certificates } from './certificates.js';
import { malformed } from './image-server-messages.js';

/** Who is silent for so long is gone. */
const SILENCE_MILLISECONDS = 60_000;
/** Connections that are open at once; more would only share the same line. */
const CONNECTIONS = 8;
/** A connection that breaks is taken up again; when that has failed so often without a byte, it is given up. */
const ATTEMPTS = 5;
const FIRST_WAIT_MILLISECONDS = 100;
/** TLS brings 16 KiB at a time; larger pieces cost less. */
const PIECE_BYTES = 256 << 10;
/** What an error or a short answer has at most. */
const SHORT_ANSWER_BYTES = 1 << 20;

/** What is asked for over HTTP. */
export interface HttpRequest {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST';
  path: string;
  headers?: Record<string, string | number>;
  /** Of pieces `content-length` is to be said; each is good until the next one is asked for. */
  body?: Buffer | AsyncIterable<Buffer> | undefined;
}

/** The part of an image server that speaks HTTP/1.1. */
export class ServerHttp {
  readonly #address: Address;
  readonly #agent: HttpAgent;
  readonly #signal: AbortSignal | undefined;

  constructor(address: Address, certificates: Certificates | undefined, signal: AbortSignal | undefined) {
    this.#address = address;
    this.#signal = signal && AbortSignal.any([signal]);
    // Each request listens.
    if (this.#signal !== undefined) setMaxListeners(0, this.#signal);
    const options = { keepAlive: true, maxSockets: CONNECTIONS };
    this.#agent =
      address.kind === 'unix' || certificates === undefined
        ? new HttpAgent(options)
        : new HttpsAgent({
            ...options,
            ...certificates,
            ...identity(address.host),
            ALPNProtocols: ['http/1.1'],
          });
  }

  /** Sends a request, and resolves to the answer, whose body is to be read. Throws what the server says. */
  async send(request: HttpRequest, allow: readonly number[] = []): Promise<IncomingMessage> {
    if (this.#signal?.aborted === true) throw cancelled();
    const response = await this.#begin(request);
    const { statusCode = 0 } = response;
    if ((statusCode >= 200 && statusCode < 300) || allow.includes(statusCode)) return response;
    throw refusal(statusCode, await readShort(response));
  }

  /** A whole answer of at most `limit` bytes. A request that may be made twice is made again after a failure of the connection. */
  async fetch(request: HttpRequest, limit = SHORT_ANSWER_BYTES): Promise<Buffer> {
    return this.again(async () => readShort(await this.send(request), limit));
  }

  /**
   * Does `work`, and does it again when the connection failed, a few times; it is told which attempt it is, and says when it got
   * on, after which failures are counted anew.
   */
  async again<T>(work: (attempt: number, gotOn: () => void) => Promise<T>): Promise<T> {
    let failures = 0;
    const gotOn = (): void => {
      failures = 0;
    };
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(attempt, gotOn);
      } catch (reason) {
        await this.#recover(reason, ++failures);
      }
    }
  }

  /** The body of an answer from byte `start` on; where a connection breaks the next one goes on. */
  async *stream(path: string, start: number): AsyncGenerator<Buffer, void, undefined> {
    let at = start;
    for (let failures = 0; ;) {
      try {
        const headers = at > 0 ? { range: `bytes=${String(at)}-` } : {};
        const response = await this.send({ method: 'GET', path, headers }, [416]);
        if (response.statusCode === 416) {
          response.resume();
          return;
        }
        const end = at + Number(response.headers['content-length'] ?? NaN);
        try {
          for await (const chunk of gathered(response as AsyncIterable<Buffer>, PIECE_BYTES)) {
            at += chunk.length;
            failures = 0;
            yield chunk;
          }
        } finally {
          response.destroy();
        }
        if (at === end) return;
        throw Object.assign(new Error('it ended too early'), { code: 'ECONNRESET' });
      } catch (reason) {
        await this.#recover(reason, ++failures);
      }
    }
  }

  /** Waits a little when it was the connection that failed and there are attempts left, else throws. */
  async #recover(reason: unknown, failures: number): Promise<void> {
    if (this.#signal?.aborted === true) throw cancelled();
    if (!isBroken(reason)) throw reason;
    if (failures >= ATTEMPTS) throw this.#lost(reason);
    await sleep(FIRST_WAIT_MILLISECONDS * 2 ** failures);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #begin({ method, path, headers = {}, body }: HttpRequest): Promise<IncomingMessage> {
    const place =
      this.#address.kind === 'unix'
        ? { socketPath: this.#address.path, host: 'localhost' }
        : { host: this.#address.host, port: this.#address.port };
    const length = Buffer.isBuffer(body) ? { 'content-length': body.length } : {};
    const options = {
      ...place,
      method,
      path,
      headers: { ...headers, ...length },
      agent: this.#agent,
      timeout: SILENCE_MILLISECONDS,
      ...(this.#signal && { signal: this.#signal }),
    };
    const sent = this.#agent instanceof HttpsAgent ? httpsRequest(options) : httpRequest(options);
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      // There may be several errors: one of what is sent, and one of the connection.
      sent.once('response', resolve).on('error', reject).once('socket', outliveErrors);
      sent.once('timeout', () => {
        sent.destroy(Object.assign(new Error('it is silent'), { code: 'ETIMEDOUT' }));
      });
    });
    if (body === undefined || Buffer.isBuffer(body)) sent.end(body);
    else {
      // A server that refuses answers before it has read all; its answer counts then.
      const sending = sendPieces(sent, body, Number(headers['content-length']));
      await Promise.race([sending, answered]).catch(() => undefined);
      if (!sent.writableFinished) answered.catch(() => undefined);
    }
    const response = await answered;
    response.once('error', () => undefined);
    return response;
  }

  #lost(reason: unknown): ImageUnpackerError {
    const where = showAddress(this.#address);
    const message = `The connection to the image server at ${where} was lost: ${(reason as Error).message}; run it again, which carries on`;
    return new ImageUnpackerError('TIMEOUT', message, {}, reason);
  }
}

/**
 * Sends a body of `length` bytes, each piece once the one before it has gone: so that may be made in the same memory. Where there
 * are fewer bytes, or they cannot be had, the request is ended.
 */
async function sendPieces(sent: ClientRequest, pieces: AsyncIterable<Buffer>, length: number): Promise<void> {
  let passed = 0;
  try {
    for await (const piece of pieces) {
      passed += piece.length;
      await new Promise<void>((resolve, reject) => {
        sent.write(piece, failure => {
          if (failure) reject(failure);
          else resolve();
        });
      });
    }
  } catch (reason) {
    sent.destroy(reason as Error);
    return;
  }
  if (passed === length) sent.end();
  else sent.destroy(new Error('What was to be sent ended too early'));
}

const outliving = new WeakSet<Socket>();

/**
 * Keeps a connection's last error from ending the process: when an answer comes before all of a body was sent, Node takes
 * the connection for idle, listens to it no more, and the rest of the body may still fail.
 */
export function outliveErrors(socket: Socket): void {
  if (outliving.has(socket)) return;
  outliving.add(socket);
  socket.on('error', () => undefined);
}

/** An address stands for itself in the certificate, though TLS does not name it (RFC 6066, section 3). */
function identity(host: string): object {
  if (isIP(host) === 0) return {};
  return {
    servername: '',
    checkServerIdentity: (_name: string, peer: PeerCertificate) => checkServerIdentity(host, peer),
  };
}

/** All of an answer of at most `limit` bytes. */
async function readShort(response: IncomingMessage, limit = SHORT_ANSWER_BYTES): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      response.destroy();
      throw malformed('more than was asked for');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** The error that the server said, which is untrusted. */
function refusal(status: number, body: Buffer): ImageUnpackerError {
  try {
    const { error } = JSON.parse(body.toString()) as { error: Record<string, unknown> };
    const { code, message, digest, details } = error;
    if (ERROR_CODES.includes(code as ErrorCode) && typeof message === 'string') {
      return new ImageUnpackerError(code as ErrorCode, message, {
        ...(typeof digest === 'string' && { digest }),
        ...(Array.isArray(details) && { details: details.map(String) }),
      });
    }
  } catch {
    // Then it is no answer of ours.
  }
  return malformed(`the status ${String(status)}`);
}

/**
 * Whether it was the connection that failed, which may be tried again. TLS finds bytes that were damaged on the way at one
 * end or the other, and says so by many names (of the record's type, version, length or MAC, its own or by an alert).
 */
export function isBroken(reason: unknown): boolean {
  if (reason instanceof ImageUnpackerError) return false;
  const { code } = reason as NodeJS.ErrnoException;
  return code !== undefined && /^E[A-Z]+$|^ERR_STREAM_PREMATURE_CLOSE$|^HPE_|^ERR_SSL_/.test(code);
}
