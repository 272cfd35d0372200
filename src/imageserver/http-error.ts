import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode, ImageUnpackerError } from '../image/error.js';

/*
 * How errors cross HTTP: a status, and the error as JSON, {"error":{"code","message","digest"}}.
 */

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  USAGE: 400,
  NO_PERMISSION: 403,
  STORE_DAMAGED: 410,
  STATE_BUSY: 503,
  STORE_BUSY: 503,
  CONTENT_COLLISION: 409,
  LIMIT_EXCEEDED: 413,
  NO_SPACE: 507,
  UNSUPPORTED: 404,
  CANCELLED: 503,
};

/** Who goes on sending after it was refused is cut off then. */
const LINGER_MILLISECONDS = 5_000;

/**
 * Answers with an error; when an answer has begun already it is cut off, which the other end cannot take for the end. What comes
 * of the body meanwhile is dropped: a connection that is closed with bytes unread takes the answer with it.
 */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { code, message, subject }: ImageUnpackerError,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = Buffer.from(`${JSON.stringify({ error: { code, message, ...subject } })}\n`);
  response.writeHead(STATUS[code] ?? 500, {
    'content-type': 'application/json',
    'content-length': body.length,
  });
  response.end(body);
  if (request.complete) return;
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MILLISECONDS);
  request.once('close', () => {
    clearTimeout(timer);
  });
  request.resume();
}
