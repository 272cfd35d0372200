import { sha512 } from '../../src/image/digest.js';
import type { ImageRecord } from '../../src/store/store.js';

/** The record of an image that has no content. */
export function recordOf(
  name: string,
  createdAt = '2026-01-01T00:00:00.000Z',
  more: Partial<ImageRecord> = {},
): ImageRecord {
  const digest = sha512(Buffer.from(name)).toString('hex');
  return {
    name,
    digest,
    createdAt,
    expiresAt: null,
    entries: 1,
    bytes: 0n,
    tags: {},
    annotations: {},
    ...more,
  };
}
