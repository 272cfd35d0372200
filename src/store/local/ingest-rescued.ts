import { decodeDigests } from '../../source/scan.js';
import type { LocalLease } from './lease.js';

/**
 * Stores files, and sees to it that those stay whose objects were found. `ingest` resolves to packed digests; only from
 * them it is known what is to be rescued. What was deleted before that is stored again.
 */
export async function ingestRescued(
  ingest: () => Promise<Buffer>,
  lease: LocalLease,
  has: (digests: readonly Buffer[]) => Promise<boolean[]>,
): Promise<Buffer> {
  for (;;) {
    const stored = await ingest();
    if (lease.knowsNone) return stored;
    const digests = [...decodeDigests(stored)].map(({ digest }) => digest);
    // Nothing is rescued twice, so this ends.
    if (!(await lease.rescue(digests)) || (await has(digests)).every(Boolean)) return stored;
  }
}
