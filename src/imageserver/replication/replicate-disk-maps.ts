import { throwIfAborted } from '../../image/error.js';
import { inParallel } from '../../store/in-parallel.js';
import type { Ends, ReplicationOptions } from './options.js';
import type { Tally } from './tally.js';

/** Asked for at once: the source may be far away. A map of the largest disk has some 4 GiB; most have less than 1 MiB. */
const AT_ONCE = 8;

/** Keeps the maps of disks that the source keeps of these images. */
export async function replicateDiskMaps(
  ends: Ends,
  imageDigests: ReadonlySet<string>,
  { signal, onEvent }: ReplicationOptions,
  tally: Tally,
): Promise<void> {
  const copy = async (imageDigest: string): Promise<void> => {
    await tally.attempt(`disk maps of ${imageDigest}`, async () => {
      const wanted = await ends.source.diskMaps(imageDigest);
      if (wanted.length === 0) return;
      const present = new Set(
        (await ends.destination.diskMaps(imageDigest)).map(each => each.toString('hex')),
      );
      for (const digest of wanted) {
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
  await inParallel([...imageDigests], AT_ONCE, copy, signal);
}
