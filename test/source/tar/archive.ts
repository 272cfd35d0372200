import { Readable } from 'node:stream';
import type { SourceEntry } from '../../../src/source/source.js';
import { tarSource } from '../../../src/source/tar/source.js';

/*
 * Tar files made byte by byte, and what the source makes of them.
 */

export const END = Buffer.alloc(1024);

export interface HeaderFields {
  name?: string | Buffer;
  mode?: string | Buffer;
  uid?: string | Buffer;
  gid?: string | Buffer;
  size?: number | bigint | string | Buffer;
  mtime?: string | Buffer;
  type?: string;
  link?: string | Buffer;
  magic?: string;
  major?: string | Buffer;
  minor?: string | Buffer;
  prefix?: string | Buffer;
  /** Bytes put in last, before the checksum is taken. */
  patch?: { at: number; bytes: Buffer };
}

/** A header with its checksum. */
export function header(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(512);
  const put = (at: number, value: string | Buffer): void => {
    (typeof value === 'string' ? Buffer.from(value, 'latin1') : value).copy(block, at);
  };
  const size = fields.size ?? 0;
  put(0, fields.name ?? 'f');
  put(100, fields.mode ?? '0000644\0');
  put(108, fields.uid ?? '0000000\0');
  put(116, fields.gid ?? '0000000\0');
  put(
    124,
    typeof size === 'object' || typeof size === 'string' ? size : `${size.toString(8).padStart(11, '0')}\0`,
  );
  put(136, fields.mtime ?? '00000000144\0');
  put(156, fields.type ?? '0');
  put(157, fields.link ?? '');
  put(257, fields.magic ?? 'ustar\x0000');
  put(329, fields.major ?? '0000000\0');
  put(337, fields.minor ?? '0000000\0');
  put(345, fields.prefix ?? '');
  if (fields.patch !== undefined) put(fields.patch.at, fields.patch.bytes);
  return withChecksum(block);
}

/** Sets the checksum of a header that was changed. */
export function withChecksum(block: Buffer, isSigned = false): Buffer {
  block.fill(' ', 148, 156);
  const bytes = isSigned ? [...new Int8Array(block)] : [...block];
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** Data filled up to whole blocks. */
export function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc(-data.length & 511)]);
}

/** A header and its data, with the size set. */
export function withData(fields: HeaderFields, data: string | Buffer): Buffer {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
  return Buffer.concat([header({ ...fields, size: fields.size ?? bytes.length }), padded(bytes)]);
}

/** One pax record, its length included. */
export function record(key: string | Buffer, value: string | Buffer): Buffer {
  const rest = Buffer.concat([
    Buffer.from(' '),
    bytesOf(key),
    Buffer.from('='),
    bytesOf(value),
    Buffer.from('\n'),
  ]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length++;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function bytesOf(value: string | Buffer): Buffer {
  return typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
}

/** A pax header with records. */
export function pax(records: readonly (readonly [string | Buffer, string | Buffer])[], type = 'x'): Buffer {
  return withData(
    { name: 'PaxHeaders/f', type },
    Buffer.concat(records.map(([key, value]) => record(key, value))),
  );
}

/** A number in base 256. */
export function base256(value: bigint, length: number): Buffer {
  const bits = BigInt(8 * length);
  const hex = (value & ((1n << bits) - 1n)).toString(16).padStart(2 * length, '0');
  const bytes = Buffer.from(hex, 'hex');
  bytes[0] = value < 0n ? 0xff : 0x80;
  return bytes;
}

/** An entry and all of its data. */
export type ReadBack = SourceEntry & { data?: Buffer };

/** All entries of an archive, which comes in chunks of `chunkBytes`. */
export async function readTar(
  archive: Buffer,
  chunkBytes = 65_536,
  sourceBytes = 2 ** 40,
): Promise<ReadBack[]> {
  return readAll(tarSource(() => inChunks(archive, chunkBytes), 'test.tar', { sourceBytes }).entries());
}

/** All entries of a source with their data. */
export async function readAll(entries: AsyncIterable<SourceEntry>): Promise<ReadBack[]> {
  const all: ReadBack[] = [];
  for await (const entry of entries) {
    if (entry.type !== 'file' || entry.content.kind !== 'stream') {
      all.push(entry);
      continue;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of entry.content.chunks) chunks.push(chunk);
    all.push({ ...entry, data: Buffer.concat(chunks) });
  }
  return all;
}

export function inChunks(bytes: Buffer, length: number): AsyncIterable<Buffer> {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += length) chunks.push(bytes.subarray(at, at + length));
  return Readable.from(chunks);
}
