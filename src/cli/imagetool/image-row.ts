import type { ImageRecord } from '../../store/store.js';

/** What is printed of an image, as JSON. */
export type ImageRow = Omit<ImageRecord, 'annotations'>;

export function toRow({ name, digest, createdAt, expiresAt, entries, bytes, tags }: ImageRecord): ImageRow {
  return { name, digest, createdAt, expiresAt, entries, bytes, tags };
}
