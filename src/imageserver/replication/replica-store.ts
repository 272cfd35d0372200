import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { DiskMap } from '../../image/disk-map.js';
import type { Channel } from '../../store/channel.js';
import { currentMove } from '../../store/channel.js';
import type { FileData } from '../../store/derivable.js';
import type { StoreWithParts } from '../../store/object-parts.js';
import { partsOf } from '../../store/object-parts.js';
import { isSameRecord } from '../../store/record.js';
import type {
  CreateOptions,
  HasOptions,
  ImageRecord,
  RemoveOptions,
  SmallObject,
  Store,
} from '../../store/store.js';
import type { ReplicationClock } from './options.js';
import type { Upstream } from './upstream.js';

export interface ForwardOptions {
  clock: ReplicationClock;
  signal: AbortSignal;
  /** How long a change that the source has made is waited for; after that it is done all the same. */
  arrivalMilliseconds?: number;
}

/** Longer than any but large images take, and shorter than a call may, through a chain of two as well. */
const ARRIVAL_MILLISECONDS = 10_000;
const LOOK_MILLISECONDS = 100;

/**
 * The store of a replica as those see it who use its server: what is read comes from the replica itself. What is changed is
 * changed at the source, and so comes back by itself. What has to be sent is what the source lacks, whatever is here. A
 * change is seen here when its call has returned, unless the source has made it and it did not arrive in time. Closing it
 * closes both.
 */
export function forwardingStore(local: Store, source: Upstream, options: ForwardOptions): StoreWithParts {
  return withCalls(local, forwarded(local, source, options));
}

/** The store of a replica of `source` that takes no changes: they are refused with `NO_PERMISSION`. */
export function refusingChanges(local: Store, source: string): Store {
  return withCalls(local, refused(local, source));
}

function withCalls<T extends Partial<StoreWithParts>>(local: Store, calls: T): Store & T {
  return new Proxy(local, {
    has: (target, property) => property in calls || Reflect.has(target, property),
    get(target, property) {
      if (property in calls) return calls[property as keyof T];
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  }) as Store & T;
}

const CHANGES = [
  'put',
  'putMany',
  'putStream',
  'derive',
  'ingest',
  'keepDiskMap',
  'create',
  'replace',
  'remove',
  'replaceChannel',
] as const;

function refused(local: Store, source: string): Partial<Store> {
  const refuse = async (): Promise<never> => {
    const message = `${local.location} is a replica of ${source} and takes no changes; send them there`;
    return Promise.reject(new ImageUnpackerError('NO_PERMISSION', message));
  };
  return Object.fromEntries(CHANGES.map(call => [call, refuse]));
}

function forwarded(local: Store, source: Upstream, options: ForwardOptions) {
  const arrived = async (is: () => Promise<boolean>): Promise<void> => waitFor(is, options);
  const here = partsOf(local);
  return {
    parts: {
      sizes: (digests: readonly Buffer[]) => here.sizes(digests),
      part: (digest: Buffer, start: number, end: number) => here.part(digest, start, end),
      sizesToStore: (digests: readonly Buffer[]) => source.sizesToStore(digests),
    },
    has: async (digests: readonly Buffer[], how?: HasOptions) =>
      how?.toStore === true ? source.call('has', digests, how) : local.has(digests),
    checkIsNew: (name: string) => source.call('checkIsNew', name),
    put: (bytes: Buffer) => source.call('put', bytes),
    putMany: (objects: readonly SmallObject[]) => source.putMany(objects),
    putStream: (chunks: AsyncIterable<Buffer>) => source.call('putStream', chunks),
    derive: (wanted: FileData, found: FileData) => source.derive(wanted, found),
    ingest: (...how: Parameters<Store['ingest']>) => source.call('ingest', ...how),
    keepDiskMap: (image: string, map: DiskMap) => source.call('keepDiskMap', image, map),
    create: async (record: ImageRecord, how?: CreateOptions) => {
      await source.call('create', record, how);
      await arrived(async () => (await find(local, record.name))?.digest === record.digest);
    },
    replace: async (next: ImageRecord, expected: ImageRecord) => {
      await source.call('replace', next, expected);
      await arrived(async () => {
        const now = await find(local, next.name);
        return now === undefined || !isSameRecord(now, expected);
      });
    },
    remove: async (name: string, how?: RemoveOptions) => {
      await source.call('remove', name, how);
      await arrived(async () => (await find(local, name)) === undefined);
    },
    replaceChannel: async (next: Channel, expected: Channel | undefined) => {
      await source.call('replaceChannel', next, expected);
      await arrived(async () => {
        const now = await local.channel(next.stream, next.name);
        return now !== undefined && currentMove(now).image === currentMove(next).image;
      });
    },
    close: async () => {
      try {
        await source.close();
      } finally {
        await local.close();
      }
    },
  };
}

async function find(store: Store, name: string): Promise<ImageRecord | undefined> {
  try {
    return await store.image(name);
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'IMAGE_UNKNOWN') return undefined;
    throw reason;
  }
}

/** What the source has done is done: that it takes long until it is here is no failure. */
async function waitFor(
  is: () => Promise<boolean>,
  { clock, signal, arrivalMilliseconds = ARRIVAL_MILLISECONDS }: ForwardOptions,
): Promise<void> {
  const end = clock.now() + arrivalMilliseconds;
  while (!(await is())) {
    throwIfAborted(signal);
    if (clock.now() >= end) return;
    await clock.sleep(LOOK_MILLISECONDS, signal);
  }
}
