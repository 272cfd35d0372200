import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { diskDigest, type DiskMap } from '../../../src/image/disk-map.js';
import type { Entry } from '../../../src/image/entry.js';
import { silentProgress } from '../../../src/image/progress.js';
import type {
  Ends,
  ReplicationEvent,
  ReplicationOptions,
} from '../../../src/imageserver/replication/options.js';
import { SYSTEM_CLOCK } from '../../../src/imageserver/replication/follow.js';
import { buildImage, type BuildOptions } from '../../../src/store/build.js';
import { openLocalStore } from '../../../src/store/local/store.js';
import type { ImageRecord, Store } from '../../../src/store/store.js';
import { verifyImage } from '../../../src/store/verify.js';
import { temporaryDirectory } from '../../temporary-directory.js';

/** Opens two empty stores, or more. */
export async function makeStores(t: ExecutionContext, ...names: string[]): Promise<Store[]> {
  const root = temporaryDirectory(t);
  const stores: Store[] = [];
  for (const name of names) {
    const store = await openLocalStore(join(root, name), { create: true });
    t.teardown(() => store.close());
    stores.push(store);
  }
  return stores;
}

/** Two empty stores. */
export async function makeEnds(t: ExecutionContext): Promise<Ends> {
  const [source, destination] = await makeStores(t, 'source', 'destination');
  return { source: source!, destination: destination! };
}

/** A tree with a file for each of the texts, which it holds, called by their places. */
export function treeOf(texts: readonly string[]): Entry[] {
  const common = { uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };
  const files = texts.map((text, at): Entry => {
    const data = Buffer.from(text);
    const path = Buffer.from(`f${String(at).padStart(6, '0')}`);
    const content = { size: BigInt(data.length), digest: data.length === 0 ? null : sha512(data) };
    return { type: 'file', path, mode: 0o644, ...common, ...content, holes: [], names: [] };
  });
  return [{ type: 'directory', path: Buffer.alloc(0), mode: 0o755, ...common }, ...files];
}

/** Builds an image of such a tree, with all that it needs. */
export async function build(
  store: Store,
  name: string,
  texts: readonly string[],
  more: Partial<BuildOptions> = {},
): Promise<ImageRecord> {
  for (const text of texts) if (text !== '') await store.put(Buffer.from(text));
  const facts = { name, createdAt: new Date(), expiresAt: null, tags: {}, annotations: {} };
  return buildImage(store, { entries: () => treeOf(texts) }, { ...facts, progress: silentProgress, ...more });
}

/** The map of a disk of one block. */
export function diskMapOf(what: string): DiskMap {
  return { size: 512n * 1024n, present: Buffer.of(1), digests: sha512(Buffer.from(what)).subarray(0, 32) };
}

/** All that a store tells of its images. */
export async function contentOf(store: Store): Promise<unknown> {
  const images = (await store.list()).map(image => ({ ...image, tags: { ...image.tags } }));
  const maps = await Promise.all(
    images.map(async ({ digest }) =>
      Promise.all(
        (await store.diskMaps(digest)).map(async each => diskDigest((await store.diskMap(digest, each))!)),
      ),
    ),
  );
  return { images, maps, channels: await store.channels() };
}

/** What is wrong with any image of a store. */
export async function faultsOf(store: Store): Promise<unknown[]> {
  const faults: unknown[] = [];
  for (const record of await store.list()) {
    const found = await verifyImage(store, record, { progress: silentProgress });
    faults.push(...found.faults.map(fault => ({ image: record.name, ...fault })));
  }
  return faults;
}

/** Options that collect what they are told, but for progress, which depends on how fast it goes. */
export function collecting(signal = new AbortController().signal): ReplicationOptions & {
  events: ReplicationEvent[];
} {
  const events: ReplicationEvent[] = [];
  const onEvent = (event: ReplicationEvent): void => {
    if (event.kind !== 'progress') events.push(event);
  };
  return { clock: SYSTEM_CLOCK, signal, onEvent, events };
}

/** A store that calls `before` first, with the name of the method, at every call, and at every chunk that is read. */
export function observed(store: Store, before: (method: string) => void): Store {
  const stream = async function* (digest: Buffer): AsyncGenerator<Buffer, void, undefined> {
    before('stream');
    for await (const chunk of store.stream(digest)) {
      yield chunk;
      before('stream');
    }
  };
  return new Proxy(store, {
    get(target, property) {
      if (property === 'stream') return stream;
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      return async (...parameters: unknown[]): Promise<unknown> => {
        before(String(property));
        return (value as (...all: unknown[]) => Promise<unknown>).apply(target, parameters);
      };
    },
  });
}
