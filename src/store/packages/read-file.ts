import type { FileEntry } from '../../image/entry.js';
import { segmentsOf } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Store } from '../store.js';

/** A whole file of an image, its holes as zeros. Throws `LIMIT_EXCEEDED` when it has more than `limit` bytes, `STORE_DAMAGED`. */
export async function readFile(store: Store, file: FileEntry, limit: number): Promise<Buffer> {
  if (file.size > limit) {
    const message = `it has ${String(file.size)} bytes, and at most ${String(limit)} are read`;
    throw new ImageUnpackerError('LIMIT_EXCEEDED', message);
  }
  if (file.digest === null) return Buffer.alloc(Number(file.size));
  const data = await store.read(file.digest, limit);
  if (file.holes.length === 0) return data;
  const bytes = Buffer.alloc(Number(file.size));
  let at = 0;
  for (const { offset, length } of segmentsOf(file.size, file.holes)) {
    data.copy(bytes, Number(offset), at, at + Number(length));
    at += Number(length);
  }
  return bytes;
}
