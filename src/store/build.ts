import type { Entry } from '../image/entry.js';
import type { ImageUnpackerError } from '../image/error.js';
import { throwIfAborted } from '../image/error.js';
import type { EncodedIndex } from '../image/manifest.js';
import { ManifestWriter } from '../image/manifest.js';
import { mergeTimes } from '../image/merge-times.js';
import { loadPathHash } from '../image/path-hash.js';
import type { ProgressSink } from '../image/progress.js';
import { TreeValidator } from '../image/validate.js';
import type { Tree } from '../source/tree.js';
import type { ManifestReader } from './manifest-reader.js';
import type { ImageRecord, Store } from './store.js';
import { isDamage } from './damage.js';

/** Pages have some 64 KiB each. */
const PUTS_AT_ONCE = 32;

/** The image whose times unchanged content keeps (image/merge-times.ts). */
export interface EarlierImage {
  manifest: ManifestReader;
  /** Told when the manifest cannot be read after all. Unless this throws, the times of the source count then. */
  onDamage: (reason: ImageUnpackerError) => void;
}

/** What an image is to be beside its content. */
export interface BuildOptions {
  name: string;
  earlier?: EarlierImage | undefined;
  createdAt: Date;
  expiresAt: Date | null;
  tags: Readonly<Record<string, string>>;
  /** Digests, in hex, of objects that are stored already. */
  annotations: Readonly<Record<string, string>>;
  /** Whether a name may be used again that an image with other content had. */
  reuseName?: boolean;
  /** Adds to the record what is only known when its content is stored: its package list, its signature. */
  complete?: ((record: ImageRecord) => Promise<ImageRecord>) | undefined;
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/**
 * Makes an image of a tree whose data is stored: its manifest, and then, when all is durable, its record.
 * Until that last step nothing of it can be seen. Throws `IMAGE_EXISTS`, `IMAGE_DELETED`, `NO_SPACE`.
 */
export async function buildImage(
  store: Store,
  tree: Pick<Tree, 'entries'>,
  options: BuildOptions,
): Promise<ImageRecord> {
  const index = await writeEntries(store, tree, options);
  const { name, createdAt, expiresAt, tags, annotations } = options;
  const made: ImageRecord = {
    name,
    digest: index.digest.toString('hex'),
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    entries: index.index.entries,
    bytes: index.index.bytes,
    tags,
    annotations,
  };
  const record = (await options.complete?.(made)) ?? made;
  throwIfAborted(options.signal);
  const step = options.progress.step('Making the image durable');
  try {
    await store.create(record, { reuseName: options.reuseName ?? false });
  } finally {
    step.end();
  }
  return record;
}

async function writeEntries(
  store: Store,
  tree: Pick<Tree, 'entries'>,
  options: BuildOptions,
): Promise<EncodedIndex> {
  const { earlier } = options;
  if (earlier === undefined) return writeManifest(store, tree.entries(), options);
  let damage: unknown;
  const have = async function* (): AsyncGenerator<Entry, void, undefined> {
    try {
      yield* earlier.manifest.entries();
    } catch (reason) {
      damage = reason;
      throw reason;
    }
  };
  try {
    return await writeManifest(
      store,
      mergeTimes(have, () => tree.entries()),
      options,
    );
  } catch (reason) {
    if (reason !== damage || !isDamage(reason)) throw reason;
    earlier.onDamage(reason);
    return writeManifest(store, tree.entries(), options);
  }
}

async function writeManifest(
  store: Store,
  entries: AsyncIterable<Entry> | Iterable<Entry>,
  { progress, signal }: Pick<BuildOptions, 'progress' | 'signal'>,
): Promise<EncodedIndex> {
  const writer = new ManifestWriter(await loadPathHash());
  const validator = new TreeValidator();
  const puts = new Puts(store);
  const step = progress.step('Writing the manifest', 'entries');
  let count = 0;
  try {
    for await (const entry of entries) {
      validator.add(entry);
      const page = writer.add(entry);
      step.update(++count);
      if (page === undefined) continue;
      throwIfAborted(signal);
      await puts.add(page.bytes);
    }
    const { page, index } = writer.finish();
    await puts.add(page.bytes);
    await puts.add(index.bytes);
    validator.finish(index.index);
    return index;
  } finally {
    step.end();
    await puts.end();
  }
}

/** Puts objects into a store, some of them at once: it may be far away. */
class Puts {
  readonly #store: Store;
  readonly #underWay = new Set<Promise<unknown>>();
  #failure: { reason: unknown } | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Waits until there is room for another one. Throws what one of those before has failed with. */
  async add(bytes: Buffer): Promise<void> {
    const put = this.#store
      .put(bytes)
      .catch((reason: unknown) => (this.#failure ??= { reason }))
      .finally(() => this.#underWay.delete(put));
    this.#underWay.add(put);
    if (this.#underWay.size >= PUTS_AT_ONCE) await Promise.race(this.#underWay);
    this.#check();
  }

  /** Waits for all of them. */
  async end(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.reason;
  }
}
