import { throwIfAborted } from '../../image/error.js';
import { inParallel } from '../../image/in-parallel.js';
import type { Ends, ReplicationOptions } from './options.js';
import type { Tally } from './tally.js';

/** Asked for at once: the source may be far away. A map of the largest disk has some 4 GiB; most have less than 1 MiB. */
const AT_ONCE = 8;

/** Keeps the maps of disks that the source keeps, whose digests are given by those of their images. */
export async function replicateDiskMaps(
  ends: Ends,
  wanted: ReadonlyMap<string, readonly Buffer[]>,
  { signal, onEvent }: ReplicationOptions,
  tally: Tally,
): Promise<void> {
  const copy = async ([imageDigest, digests]: [string, readonly Buffer[]]): Promise<void> => {
    await tally.attempt(`disk maps of ${imageDigest}`, async () => {
      const present = new Set(
        (await ends.destination.diskMaps(imageDigest)).map(each => each.toString('hex')),
      );
      for (const digest of digests) {
        throwIfAborted(signal);
        const diskDigest = digest.toString('hex');
        const map = present.has(diskDigest) ? undefined : await ends.source.diskMap(imageDigest, digest);
        if (map === undefined) continue;
        await ends.destination.keepDiskMap(imageDigest, map);
        onEvent({ kind: 'disk-map', imageDigest, diskDigest });
        tally.changes++;
      }
    });
  };
  await inParallel([...wanted], AT_ONCE, copy, signal);
}
