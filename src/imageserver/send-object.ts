import type { IncomingMessage, ServerResponse } from 'node:http';
import { ImageUnpackerError } from '../image/error.js';
import type { SendContext } from './send-objects.js';
import { write } from './send-objects.js';

const RANGE = /^bytes=(\d+)-(\d*)$/;

/** Sends one object, or the part of it that is asked for (RFC 9110, section 14.2), as it is stored. */
export async function sendObject(
  request: IncomingMessage,
  response: ServerResponse,
  digest: Buffer,
  { lease, statistics, signal }: SendContext,
): Promise<void> {
  const [size] = await lease.parts.sizes([digest]);
  if (size === undefined) throw missing(lease.store.location, digest);
  const headers = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    etag: `"${digest.toString('hex')}"`,
    'cache-control': 'private, immutable, max-age=31536000',
  };
  const range = rangeOf(request.headers.range, size);
  if (range === 'none') {
    response.writeHead(416, { 'content-range': `bytes */${String(size)}`, 'content-length': 0 });
    response.end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: size };
  const part = range && { 'content-range': `bytes ${String(start)}-${String(end - 1)}/${String(size)}` };
  response.writeHead(range === undefined ? 200 : 206, { ...headers, ...part, 'content-length': end - start });
  if (request.method !== 'HEAD') {
    // With the head in one call the first piece would be copied.
    response.flushHeaders();
    for await (const chunk of lease.parts.part(digest, start, end)) await write(response, chunk, signal);
    if (end === size) statistics.objectsSent++;
    statistics.bytesSent += end - start;
  }
  response.end();
}

/** What of the object is asked for; undefined for all of it, or what is no range of the kind that is known. */
function rangeOf(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'none' | undefined {
  const [, first, last] = RANGE.exec(header ?? '') ?? [];
  if (first === undefined) return undefined;
  const start = Number(first);
  const end = last === '' || last === undefined ? size : Math.min(Number(last) + 1, size);
  return start < end ? { start, end } : 'none';
}

function missing(location: string, digest: Buffer): ImageUnpackerError {
  const hex = digest.toString('hex');
  return new ImageUnpackerError('STORE_DAMAGED', `The object ${hex} of the store ${location} is missing`, {
    path: location,
    digest: hex,
    details: [`${hex} is missing`],
  });
}
