import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import { parseImageName } from '../../image/name.js';
import type { Channel } from '../../store/channel.js';
import { currentMove } from '../../store/channel.js';
import { isSameRecord } from '../../store/record.js';
import type { CreateOptions, ImageRecord, RemoveOptions, Store } from '../../store/store.js';
import type { ReplicationClock } from './options.js';

/** What becomes of what is sent to a replica. */
export type Pushes = 'forward' | 'refuse';

export interface ReplicaStoreOptions {
  pushes: Pushes;
  clock: ReplicationClock;
  signal: AbortSignal;
  /** How long a change that the source has made is waited for; after that it is done all the same. */
  arrivalMilliseconds?: number;
}

/** Longer than any but the largest images take; who sends one has waited for as long already. */
const ARRIVAL_MILLISECONDS = 30_000;
const LOOK_MILLISECONDS = 100;

/** The calls that change something and have nothing to wait for. */
const STORING = ['put', 'putMany', 'putStream', 'ingest', 'keepDiskMap'] as const;

/**
 * The store of a replica as those see it who use its server: what is read comes from the replica itself. What is changed is
 * changed at the source, and so comes back by itself, or is refused with `NO_PERMISSION`. To `put` it asks the source as
 * well what it has: what is missing there has to be sent, whatever is here. A change is seen here when its call has
 * returned, unless the source has made it and it did not arrive in time.
 */
export function replicaStore(local: Store, source: Store, options: ReplicaStoreOptions): Store {
  if (options.pushes === 'refuse') return refusingChanges(local, source.location);
  return withCalls(local, forwarded(local, source, options));
}

/** The store of a replica of `source` that takes no changes: they are refused with `NO_PERMISSION`. */
export function refusingChanges(local: Store, source: string): Store {
  return withCalls(local, refused(local, source));
}

function withCalls(local: Store, changes: Partial<Store>): Store {
  return new Proxy(local, {
    get(target, property) {
      if (property in changes) return changes[property as keyof typeof changes];
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

function refused(local: Store, source: string): Partial<Store> {
  const refuse = async (): Promise<never> => {
    const message = `${local.location} is a replica of ${source} and takes no changes; send them there`;
    return Promise.reject(new ImageUnpackerError('NO_PERMISSION', message));
  };
  const calls = [...STORING, 'create', 'replace', 'remove', 'replaceChannel'] as const;
  return Object.fromEntries(calls.map(call => [call, refuse]));
}

function forwarded(local: Store, source: Store, options: ReplicaStoreOptions): Partial<Store> {
  const arrived = async (is: () => Promise<boolean>): Promise<void> => waitFor(is, options);
  const calls: Partial<Store> = {
    has: async digests => source.has(digests),
    checkIsNew: async name => source.checkIsNew(name),
    create: async (record: ImageRecord, how?: CreateOptions) => {
      await source.create(record, how);
      await arrived(async () => (await find(local, record.name))?.digest === record.digest);
    },
    replace: async (next: ImageRecord, expected: ImageRecord) => {
      await source.replace(next, expected);
      await arrived(async () => {
        const now = await find(local, next.name);
        return now === undefined || !isSameRecord(now, expected);
      });
    },
    remove: async (name: string, how?: RemoveOptions) => {
      await source.remove(name, how);
      await arrived(async () => (await find(local, name)) === undefined);
    },
    replaceChannel: async (next: Channel, expected: Channel | undefined) => {
      await source.replaceChannel(next, expected);
      await arrived(async () => {
        const now = await local.channel(next.stream, next.name);
        return now !== undefined && currentMove(now).image === currentMove(next).image;
      });
    },
  };
  for (const call of STORING) {
    const value = source[call]?.bind(source);
    Object.assign(calls, { [call]: value });
  }
  return calls;
}

async function find(store: Store, name: string): Promise<ImageRecord | undefined> {
  const { stream } = parseImageName(name);
  return (await store.list(stream)).find(each => each.name === name);
}

/** What the source has done is done: that it takes long until it is here is no failure. */
async function waitFor(
  is: () => Promise<boolean>,
  { clock, signal, arrivalMilliseconds = ARRIVAL_MILLISECONDS }: ReplicaStoreOptions,
): Promise<void> {
  const end = clock.now() + arrivalMilliseconds;
  while (!(await is())) {
    throwIfAborted(signal);
    if (clock.now() >= end) return;
    await clock.sleep(LOOK_MILLISECONDS, signal);
  }
}
