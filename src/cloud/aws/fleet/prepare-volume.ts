import { ImageUnpackerError } from '../../../image/error.js';
import { TAG } from '../../cloud.js';
import type { EncryptionKey } from '../encryption.js';
import { UNFINISHED } from '../tags.js';
import { waitFor } from '../wait.js';
import type { FleetAgent } from './agent.js';
import type { FleetInstance, FleetPlace } from './instances.js';
import type { FleetVolume } from './volumes.js';
import { attachVolume, createVolume, growVolume, serialOf, tagVolume } from './volumes.js';

const GIB = 2n ** 30n;
/** Revisions grow: twice the content, and this at the least, as agents make volumes themselves. */
const LEAST_BYTES = 2n * GIB;
/** A file system and what changes while it is patched take this much more than the content. */
const SLACK_BYTES = 256n * 2n ** 20n;
/** A device shows up a moment after it is attached. */
const DEVICE_SECONDS = 120;

/** The volume that a stream is to have on an unpacker. */
export interface StreamVolume {
  readonly stream: string;
  /** Of the content. */
  readonly bytes: bigint;
  readonly key: EncryptionKey;
  readonly run: string;
}

/** GiB that a volume for so much content is made with, and GiB with which it is large enough. */
export function volumeSizes(bytes: bigint): { made: number; enough: number } {
  const up = (size: bigint): number => Number((size + GIB - 1n) / GIB);
  const twice = bytes * 2n;
  return { made: up(twice > LEAST_BYTES ? twice : LEAST_BYTES), enough: up((bytes * 5n) / 4n + SLACK_BYTES) };
}

/**
 * Sees to it that a volume is attached to an unpacker and large enough: the one of the stream, or a new one. One that
 * is new tells whose run made it until another run makes use of it.
 */
export async function prepareVolume(
  place: FleetPlace,
  instance: FleetInstance,
  volume: FleetVolume | undefined,
  { stream, bytes, key, run }: StreamVolume,
  signal: AbortSignal | undefined,
): Promise<FleetVolume> {
  const { made, enough } = volumeSizes(bytes);
  let current = volume;
  if (current === undefined) {
    const tags = { [TAG.stream]: stream, [TAG.run]: run, [UNFINISHED]: 'true' };
    const token = `${place.target} ${stream} ${run}`;
    current = await createVolume(place, { zone: instance.zone, size: made, key, tags, token }, { signal });
  } else if (current.tags[TAG.run] !== undefined && current.tags[TAG.run] !== run) {
    await tagVolume(place, current.id, { remove: [TAG.run, UNFINISHED] }, { signal });
  }
  const attached = await attachVolume(place, current.id, instance, { signal });
  return attached.size < enough ? growVolume(place, attached.id, made, { signal }) : attached;
}

/**
 * Waits until an agent sees a volume, by its serial number and in its size, and pins the stream to it. Throws
 * `VOLUME_DIFFERENT` when the stream has another volume there that is in use, `TIMEOUT`.
 */
export async function pinVolume(
  { session, target }: FleetPlace,
  agent: FleetAgent,
  stream: string,
  volume: FleetVolume,
  signal: AbortSignal | undefined,
): Promise<void> {
  const serial = serialOf(volume);
  const what = `the volume ${volume.id} to show up on its unpacker`;
  const waiting = { what, deadlineSeconds: DEVICE_SECONDS, target, signal };
  const device = await waitFor(session, waiting, async () => {
    const devices = await agent.devices({ signal });
    // What has no serial number for the system is known by a name that ends with it.
    const found = devices.find(({ id }) => id === serial || id.endsWith(`_${serial}`));
    return found !== undefined && BigInt(found.size) >= BigInt(volume.size) * GIB ? found : undefined;
  });
  if (device.stream === stream) return;
  try {
    await agent.pin(stream, device.id, { signal });
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== 'VOLUME_DIFFERENT') throw reason;
    const { streams } = await agent.status({ signal });
    // The stream's former volume is gone; one that is there is nobody's to give up but a person's.
    if (streams.find(each => each.stream === stream)?.state !== 'absent') throw reason;
    await agent.forget(stream, false, { signal });
    await agent.pin(stream, device.id, { signal });
  }
}
