import { ImageUnpackerError, throwIfAborted } from '../../../image/error.js';
import type { ConnectAgent } from './agent.js';
import type { FleetInstance, FleetPlace } from './instances.js';
import type { FleetVolume } from './volumes.js';

/** An agent whose machine runs answers at once. */
const PATIENCE_SECONDS = 5;

/** How much an unpacker has to do. */
export interface Load {
  readonly instance: FleetInstance;
  /** Streams that are worked on, all of them, and the image that each has; undefined when its agent does not answer. */
  readonly streams:
    | { readonly busy: number; readonly all: number; readonly digests: ReadonlyMap<string, string | null> }
    | undefined;
}

/** An unpacker, and the volume of the stream if there is one for it. */
export interface Choice {
  readonly instance: FleetInstance;
  readonly volume: FleetVolume | undefined;
}

/**
 * The unpacker that a stream is unpacked on: the one that its volume is attached to, else one in the zone of its
 * volume, else any; of several the least busy one that runs, and only where none runs one that must be started.
 * Undefined when there is none.
 */
export function chooseUnpacker(loads: readonly Load[], volumes: readonly FleetVolume[]): Choice | undefined {
  for (const volume of volumes) {
    const { attachment } = volume;
    const holder = loads.find(({ instance }) => instance.id === attachment?.instanceId);
    if (holder !== undefined && attachment?.state !== 'detaching')
      return { instance: holder.instance, volume };
  }
  const ordered = [...loads].sort((a, b) => rank(a) - rank(b));
  for (const volume of volumes) {
    if (volume.attachment !== undefined) continue;
    const near = ordered.find(({ instance }) => instance.zone === volume.zone);
    if (near !== undefined) return { instance: near.instance, volume };
  }
  const [first] = ordered;
  return first && { instance: first.instance, volume: undefined };
}

/** The less, the better. */
function rank({ instance: { state }, streams }: Load): number {
  const FAR = 1e6;
  if (state === 'running' && streams !== undefined) return streams.busy * 1000 + Math.min(streams.all, 999);
  const states = ['pending', 'stopped', 'stopping'];
  // One that runs and does not answer may be broken.
  return FAR * (state === 'running' ? 9 : states.indexOf(state) + 1);
}

/** Asks the unpackers that run how much they have to do. */
export async function findLoads(
  instances: readonly FleetInstance[],
  connect: ConnectAgent,
  signal: AbortSignal | undefined,
): Promise<Load[]> {
  return Promise.all(
    instances.map(async (instance): Promise<Load> => {
      const { state, address } = instance;
      if (state !== 'running' || address === undefined) return { instance, streams: undefined };
      try {
        const agent = await connect(address, { patience: PATIENCE_SECONDS, signal });
        try {
          const { streams } = await agent.status({ signal });
          const busy = streams.filter(each => each.state === 'busy').length;
          const digests = new Map(streams.map(each => [each.stream, each.digest]));
          return { instance, streams: { busy, all: streams.length, digests } };
        } finally {
          await agent.close();
        }
      } catch {
        // If it is chosen all the same, that it does not answer is the error then.
        throwIfAborted(signal);
        return { instance, streams: undefined };
      }
    }),
  );
}

/** The error of a target that has no unpacker. */
export function noUnpacker({ target, name }: FleetPlace): ImageUnpackerError {
  const message = `There is no unpacker in ${target}: no instance has the tag Name=${name}; start one, or publish with the strategy direct`;
  return new ImageUnpackerError('CLOUD_FAILED', message, { target });
}
