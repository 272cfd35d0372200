import { diskDigest } from '../../../image/disk-map.js';
import { ImageUnpackerError } from '../../../image/error.js';
import type {
  DiskBoot,
  DiskMaps,
  ImageDiskRequest,
  TellProgress,
  UnpackDiskOptions,
  UnpackedDisk,
} from '../../cloud.js';
import { TAG } from '../../cloud.js';
import { DISK_FACTS, encodeFacts, MANAGED_BY } from '../tags.js';
import type { FleetAgent } from './agent.js';
import { createSnapshot } from './create-snapshot.js';
import type { FleetPlace } from './instances.js';
import type { FleetVolume } from './volumes.js';

const GIB = 2n ** 30n;

/** What a volume is made, and a snapshot of it begun, with. */
export interface VolumeWork {
  readonly request: ImageDiskRequest;
  readonly stream: string;
  /** Of the snapshot. */
  readonly token: string;
  readonly maps: DiskMaps;
  /** Whether the volume is to keep nothing in free space: then all that the snapshot holds is known. */
  readonly scrub: boolean;
  readonly options: UnpackDiskOptions;
  readonly progress: TellProgress;
}

/**
 * Makes a volume an image, and begins a snapshot of it while its agent holds it. Throws what the agent says,
 * `VOLUME_DIFFERENT` or `VOLUME_DOUBTFUL` where another publisher was at work on it in between, `UNSUPPORTED` for an agent that does not know how
 * to scrub.
 */
export async function unpackVolume(
  { session, target }: FleetPlace,
  agent: FleetAgent,
  volume: FleetVolume,
  { request, stream, token, maps, scrub, options: { signal, note }, progress }: VolumeWork,
): Promise<UnpackedDisk> {
  const { name, digest } = request.image;
  const onProgress: Parameters<FleetAgent['unpack']>[1]['onProgress'] = ({ step, done, total, unit }) => {
    progress(step, done, total, unit);
  };
  const result = await agent.unpack({ image: name, digest, create: true, scrub }, { signal, onProgress });
  if (scrub && result.scrubbed !== true) throw cannotScrub(volume, target);
  for (const warning of result.warnings) note(warning);
  // Held, it is unmounted, the image, and nobody writes to it: EBS takes it as it is when it is asked.
  const held = await agent.capture(stream, digest, { signal, onProgress });
  try {
    // What was scrubbed is what a capture of it is.
    const disk = scrub ? diskDigest(held.map).toString('hex') : undefined;
    if (disk !== undefined) await maps.keep(request.tags, held.map);
    const known = disk === undefined ? {} : { [TAG.diskDigest]: disk };
    const size = disk === undefined ? BigInt(volume.size) * GIB : held.map.size;
    const tags = { ...request.tags, ...known, ...ownTags(size, disk ?? digest, result.boot) };
    const description = request.tags[TAG.name] ?? name;
    const id = await createSnapshot(session, {
      volumeId: volume.id,
      token,
      tags,
      description,
      target,
      signal,
    });
    return { id, blocksWritten: result.blocksWritten, digest: disk };
  } finally {
    await held.close();
  }
}

/**
 * What a snapshot says of itself. A disk that EBS copies has what was left in free space too, if that was not scrubbed:
 * then no map tells what it holds, and none must be found for it, so its digest is that of the image, cut to the length.
 */
function ownTags(size: bigint, digest: string, boot: DiskBoot | null): Record<string, string> {
  const facts = {
    size,
    at: undefined,
    digest: digest.slice(0, 64),
    boot: boot === null ? undefined : { ...boot },
    parent: undefined,
  };
  return { [MANAGED_BY.key]: MANAGED_BY.value, [DISK_FACTS]: encodeFacts(facts) };
}

function cannotScrub({ id }: FleetVolume, target: string): ImageUnpackerError {
  const message = `The agent that has the volume ${id} in ${target} is of a version that does not scrub; update it, or publish without --scrub`;
  return new ImageUnpackerError('UNSUPPORTED', message, { target });
}
