import { closeSync } from 'node:fs';
import { sha512 } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Watch } from '../../native.js';
import { ingestFiles, openFile, readFiles } from '../../native.js';
import type { IngestedFile } from '../../source/scan.js';
import type { Limited } from '../../image/limited.js';
import { limited } from '../../image/limited.js';
import { decodeDigests, encodeDigests, pathOf, unpackFiles } from '../../source/scan.js';
import type { Derivable, FileData } from '../derivable.js';
import { deriveOrSend } from '../derive-or-send.js';
import { inParallel } from '../../image/in-parallel.js';
import type { SmallObject, Stored } from '../store.js';
import type { ObjectCache, Staging } from './cache.js';

/** A stream up to this size is held in memory; a larger one is a file until its digest is known. */
const HELD_BYTES = 1 << 20;
/** Each of them has a whole object, or some parts of one, in memory. */
const LARGE_AT_ONCE = 2;
/** Fewer than there are connections, lest what is sent waits for what is made. */
const DERIVED_AT_ONCE = 6;

/** An object that is a file. */
export interface StagedObject {
  digest: Buffer;
  size: number;
  path: string;
}

/** A store that is elsewhere, as far as objects are stored there. */
export interface UploadTarget {
  readonly location: string;
  /** Whether what is sent under a wrong digest is refused there. */
  readonly verifies: boolean;
  /** How many small objects travel together, and how many such batches at once. */
  readonly batch: { objects: number; bytes: number; atOnce: number };
  /** Sees to it that objects that are there stay. */
  rescue(digests: readonly Buffer[]): Promise<void>;
  /** The size of each object in bytes; undefined of one that is not there. */
  sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]>;
  /** Those of the files whose objects may be made there of what is there, where that can be. */
  findDerivable?<T extends FileData & { path: Buffer }>(
    files: readonly T[],
    watch: Watch,
  ): Promise<Derivable<T>[]>;
  /** As `Store.derive`. */
  derive?(wanted: FileData, found: FileData): Promise<boolean>;
  /** Stores objects that are not there, together. */
  addMany(objects: readonly SmallObject[]): Promise<void>;
  /** Stores a large object that is not there. Throws `STORE_DAMAGED` when the file is another one. */
  addFile(object: StagedObject): Promise<void>;
}

/**
 * What is stored in a store that is elsewhere from streams and files. Files go from where they lie; of what else is large a
 * file is made on this machine first.
 */
export class Uploads {
  readonly #target: UploadTarget;
  readonly #cache: ObjectCache;
  readonly #underWay = new Map<string, Promise<void>>();
  /** Small objects that are being stored, by their digests. */
  readonly #held = new Map<string, Promise<boolean>>();
  // Several calls of `ingest` at once need no more memory than one.
  readonly #reading = limited(1);
  readonly #sendingSmall: Limited;
  readonly #sendingLarge = limited(LARGE_AT_ONCE);
  readonly #deriving = limited(DERIVED_AT_ONCE);
  #staging: Promise<Staging> | undefined;

  constructor(target: UploadTarget, cache: ObjectCache) {
    this.#sendingSmall = limited(target.batch.atOnce);
    this.#target = target;
    this.#cache = cache;
  }

  /** Stores what comes bit by bit; an object of that size that is there is relied on. */
  async putStream(chunks: AsyncIterable<Buffer>): Promise<Stored> {
    const iterator = chunks[Symbol.asyncIterator]();
    const held: Buffer[] = [];
    let size = 0;
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) break;
      held.push(next.value);
      size += next.value.length;
      if (size > HELD_BYTES) return this.#putLarge(join(held, iterator));
    }
    const bytes = Buffer.concat(held, size);
    const digest = sha512(bytes);
    await this.#target.rescue([digest]);
    return { digest, size, added: await this.#putHeld({ digest, bytes }) };
  }

  /** Stores a small object if it is missing; while somebody else stores the same, that is waited for. Whether it was added here. */
  async #putHeld(object: SmallObject): Promise<boolean> {
    const key = object.digest.toString('latin1');
    const others = this.#held.get(key);
    if (others !== undefined) {
      await others;
      return false;
    }
    const work = (async () => {
      const added = (await this.#target.sizes([object.digest]))[0] !== object.bytes.length;
      if (added) await this.#target.addMany([object]);
      return added;
    })().finally(() => this.#held.delete(key));
    this.#held.set(key, work);
    return work;
  }

  /** As `Store.ingest`. Files are hashed first, and what is missing is read again and uploaded. */
  async ingest(root: number, packed: Buffer, watch: Watch): Promise<Buffer> {
    const files = unpackFiles(packed);
    const known = files.flatMap(({ known: digest }) => digest ?? []);
    await this.#target.rescue(known);
    const knownSizes = await this.#target.sizes(known);
    let at = 0;
    const skipped = files.map(({ known: digest, bytes }) => {
      return digest !== undefined && knownSizes[at++] === Number(bytes);
    });
    const toRead = files.filter((_, number) => !skipped[number]).map(withoutKnown);
    const read = () => ingestFiles(root, Buffer.concat(toRead), undefined, watch);
    const hashed = [...decodeDigests(await this.#reading(read))].map(({ digest }) => digest);
    await this.#target.rescue(hashed);
    const sizes = await this.#target.sizes(hashed);
    const unknown = files.filter((_, number) => !skipped[number]);
    const isMissing = unknown.map(({ bytes }, number) => sizes[number] !== Number(bytes));
    const missing = unknown
      .map(({ bytes, size, holes }, number) => {
        const digest = hashed[number]!;
        const packed = toRead[number]!;
        return { packed, digest, size: Number(bytes), file: { path: pathOf(packed), size, holes, digest } };
      })
      .filter((_, number) => isMissing[number]);
    await this.#deriveOrUpload(root, missing, watch);
    const results: IngestedFile[] = [];
    let next = 0;
    for (const [number, { known: digest }] of files.entries()) {
      if (skipped[number]) results.push({ digest: digest!, added: false, skipped: true });
      else results.push({ digest: hashed[next]!, added: isMissing[next++]!, skipped: false });
    }
    return encodeDigests(results);
  }

  async close(): Promise<void> {
    const staging = await this.#staging?.catch(() => undefined);
    this.#staging = undefined;
    await staging?.close();
  }

  /** Has objects made of what the target has where that can be, and uploads the files of the others; of the same object one. */
  async #deriveOrUpload(root: number, files: readonly FileToUpload[], watch: Watch): Promise<void> {
    const unique = [...new Map(files.map(file => [keyOf(file), file])).values()];
    const byData = new Map(unique.map(each => [each.file, each]));
    const found = (await this.#target.findDerivable?.([...byData.keys()], watch)) ?? [];
    const pairs = found.map(({ wanted, found }) => ({ wanted: byData.get(wanted)!, found }));
    await deriveOrSend(unique, pairs, {
      derive: ({ wanted, found }) =>
        this.#deriving(async () => (await this.#target.derive?.(wanted.file, found)) === true),
      most: DERIVED_AT_ONCE,
      send: (left, signal) => this.#uploadFiles(root, left, { ...watch, signal }),
      signal: watch.signal,
    });
  }

  /** Uploads files from where they lie. */
  async #uploadFiles(root: number, files: readonly FileToUpload[], watch: Watch): Promise<void> {
    const small = files.filter(({ size }) => size <= HELD_BYTES);
    const large = files.filter(({ size }) => size > HELD_BYTES);
    const { batch } = this.#target;
    const { signal } = watch;
    const sendSmall = (each: readonly FileToUpload[]) =>
      this.#sendingSmall(() => this.#uploadSmall(root, each));
    const sendLarge = (each: FileToUpload) => this.#sendingLarge(() => this.#uploadLarge(root, each));
    await inParallel(batchesOf(small, batch), batch.atOnce, sendSmall, signal);
    await inParallel(large, LARGE_AT_ONCE, sendLarge, signal);
  }

  async #uploadSmall(root: number, files: readonly FileToUpload[]): Promise<void> {
    await this.#once(files, async mine => {
      const bytes = await readFiles(root, Buffer.concat(mine.map(({ packed }) => packed)), {});
      const objects = mine.map(({ digest }, at) => ({ digest, bytes: bytes[at]! }));
      if (!this.#target.verifies) requireDigests(objects, mine);
      await this.#target.addMany(objects);
    });
  }

  async #uploadLarge(root: number, file: FileToUpload): Promise<void> {
    if (file.file.size !== BigInt(file.size)) {
      await this.#uploadWithHoles(root, file);
      return;
    }
    await this.#once([file], async () => {
      const fd = await openFile(root, file.packed);
      try {
        await this.#target
          .addFile({ ...file, path: `/proc/self/fd/${String(fd)}` })
          .catch(async (reason: unknown) => {
            // If it has changed meanwhile, that is what is wrong.
            await checkUnchanged(root, file);
            throw reason;
          });
      } finally {
        closeSync(fd);
      }
    });
  }

  /** What is not all of a file is put together in one of its own. */
  async #uploadWithHoles(root: number, file: FileToUpload): Promise<void> {
    const staging = await this.#stage();
    await this.#once([file], async () => {
      await staging.store.ingest(root, file.packed, {});
      await this.#target.addFile({ ...file, path: staging.pathOf(file.digest) });
      await staging.remove(file.digest);
    });
  }

  async #putLarge(chunks: AsyncIterable<Buffer>): Promise<Stored> {
    const staging = await this.#stage();
    const { digest, size } = await staging.store.putStream(chunks);
    await this.#target.rescue([digest]);
    let added = false;
    await this.#once([{ digest, size }], async () => {
      added = (await this.#target.sizes([digest]))[0] !== size;
      if (added) await this.#target.addFile({ digest, size, path: staging.pathOf(digest) });
    });
    await staging.remove(digest);
    return { digest, size, added };
  }

  /** Does `work` with those that nobody else has under way; what others do is waited for. */
  async #once<T extends ObjectFacts>(
    objects: readonly T[],
    work: (mine: readonly T[]) => Promise<void>,
  ): Promise<void> {
    const others = objects.flatMap(object => this.#underWay.get(keyOf(object)) ?? []);
    const mine = objects.filter(object => !this.#underWay.has(keyOf(object)));
    const done = (async () => {
      if (mine.length > 0) await work(mine);
    })().finally(() => {
      for (const object of mine) this.#underWay.delete(keyOf(object));
    });
    for (const object of mine) this.#underWay.set(keyOf(object), done);
    await Promise.all([done, ...others]);
  }

  async #stage(): Promise<Staging> {
    this.#staging ??= this.#cache.stage();
    return this.#staging;
  }
}

interface ObjectFacts {
  digest: Buffer;
  size: number;
}

/** A file whose data is an object that is not there. */
interface FileToUpload extends ObjectFacts {
  packed: Buffer;
  /** All of it. */
  file: FileData & { path: Buffer };
}

function keyOf({ digest }: ObjectFacts): string {
  return digest.toString('latin1');
}

/** Rejects as `openFile` does. */
async function checkUnchanged(root: number, { packed }: FileToUpload): Promise<void> {
  closeSync(await openFile(root, packed));
}

/** Throws `SOURCE_CHANGED` for a file that is no longer what was hashed, though nothing else tells it. */
function requireDigests(objects: readonly SmallObject[], files: readonly FileToUpload[]): void {
  const at = objects.findIndex(({ digest, bytes }) => !sha512(bytes).equals(digest));
  if (at < 0) return;
  const path = pathOf(files[at]!.packed).toString();
  throw new ImageUnpackerError(
    'SOURCE_CHANGED',
    `${path} was written to while it was uploaded; do it again`,
    { path },
  );
}

/** Objects in their order, as many together as travel so. */
function batchesOf<T extends ObjectFacts>(
  objects: readonly T[],
  most: { objects: number; bytes: number },
): T[][] {
  const batches: T[][] = [];
  let bytes = 0;
  for (const object of objects) {
    const last = batches.at(-1);
    bytes += object.size;
    if (last !== undefined && last.length < most.objects && bytes <= most.bytes) {
      last.push(object);
      continue;
    }
    batches.push([object]);
    bytes = object.size;
  }
  return batches;
}

/** Whether it is known is nothing to look for in the files on their way. */
function withoutKnown({ packed, known }: { packed: Buffer; known: Buffer | undefined }): Buffer {
  if (known === undefined) return packed;
  const copy = Buffer.from(packed.subarray(0, packed.length - known.length));
  copy[copy.length - 1] = 0;
  return copy;
}

async function* join(held: readonly Buffer[], rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* held;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
