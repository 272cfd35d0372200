import { readFile } from 'node:fs/promises';
import { sha512 } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Watch } from '../../native.js';
import { ingestFiles } from '../../native.js';
import type { IngestedFile } from '../../source/scan.js';
import { decodeDigests, encodeDigests, unpackFiles } from '../../source/scan.js';
import { inParallel } from '../in-parallel.js';
import type { Stored } from '../store.js';
import type { ObjectCache, Staging } from './cache.js';

/** A stream up to this size is held in memory; a larger one is a file until its digest is known. */
const HELD_BYTES = 1 << 20;
/** Each of them has a whole object, or some parts of one, in memory. */
const LARGE_AT_ONCE = 2;
/** So much of files is copied before it is uploaded. */
const STAGED_BYTES = 1n << 30n;

/** An object with its bytes. */
export interface HeldObject {
  digest: Buffer;
  bytes: Buffer;
}

/** An object that is a file. */
export interface StagedObject {
  digest: Buffer;
  size: number;
  path: string;
}

/** A store that is elsewhere, as far as objects are stored there. */
export interface UploadTarget {
  readonly location: string;
  /** How many small objects travel together, and how many such batches at once. */
  readonly batch: { objects: number; bytes: number; atOnce: number };
  /** Sees to it that objects that are there stay. */
  rescue(digests: readonly Buffer[]): Promise<void>;
  /** The size of each object in bytes; undefined of one that is not there. */
  sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]>;
  /** Stores objects that are not there, together. */
  addMany(objects: readonly HeldObject[]): Promise<void>;
  /** Stores a large object that is not there. Throws `STORE_DAMAGED` when the file is another one. */
  addFile(object: StagedObject): Promise<void>;
}

/** What is stored in a store that is elsewhere from streams and files. What is on its way is a file of this machine. */
export class Uploads {
  readonly #target: UploadTarget;
  readonly #cache: ObjectCache;
  readonly #underWay = new Map<string, Promise<void>>();
  /** Small objects that are being stored, by their digests. */
  readonly #held = new Map<string, Promise<boolean>>();
  #staging: Promise<Staging> | undefined;

  constructor(target: UploadTarget, cache: ObjectCache) {
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
  async #putHeld(object: HeldObject): Promise<boolean> {
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
    const hashed = [...decodeDigests(await ingestFiles(root, Buffer.concat(toRead), undefined, watch))].map(
      ({ digest }) => digest,
    );
    await this.#target.rescue(hashed);
    const sizes = await this.#target.sizes(hashed);
    const read = files.filter((_, number) => !skipped[number]);
    const isMissing = read.map(({ bytes }, number) => sizes[number] !== Number(bytes));
    const missing = read
      .map((file, number) => ({ ...file, packed: toRead[number]! }))
      .filter((_, n) => isMissing[n]);
    await this.#uploadFiles(root, missing, watch);
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

  async #uploadFiles(
    root: number,
    files: readonly { packed: Buffer; bytes: bigint }[],
    watch: Watch,
  ): Promise<void> {
    for (let from = 0; from < files.length;) {
      let to = from;
      for (
        let bytes = 0n;
        to < files.length && (to === from || bytes + files[to]!.bytes <= STAGED_BYTES);
        to++
      )
        bytes += files[to]!.bytes;
      const batch = files.slice(from, to);
      const staging = await this.#stage();
      const packed = Buffer.concat(batch.map(file => file.packed));
      const { signal } = watch;
      const objects = new Map<string, { digest: Buffer; size: number }>();
      let number = 0;
      for (const { digest } of decodeDigests(await staging.store.ingest(root, packed, { signal })))
        objects.set(digest.toString('latin1'), { digest, size: Number(batch[number++]!.bytes) });
      await this.#uploadAll([...objects.values()], staging, signal);
      from = to;
    }
  }

  async #uploadAll(
    objects: readonly StagedFacts[],
    staging: Staging,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { batch } = this.#target;
    const small = batchesOf(
      objects.filter(({ size }) => size <= HELD_BYTES),
      batch,
    );
    const large = objects.filter(({ size }) => size > HELD_BYTES);
    await inParallel(small, batch.atOnce, each => this.#uploadSmall(each, staging), signal);
    await inParallel(large, LARGE_AT_ONCE, each => this.#uploadLarge(each, staging), signal);
  }

  async #uploadSmall(objects: readonly StagedFacts[], staging: Staging): Promise<void> {
    await this.#once(objects, staging, async mine => {
      const held: HeldObject[] = [];
      for (const { digest } of mine) held.push({ digest, bytes: await this.#readStaged(digest, staging) });
      await this.#target.addMany(held);
    });
  }

  async #uploadLarge(object: StagedFacts, staging: Staging): Promise<void> {
    const path = staging.pathOf(object.digest);
    await this.#once([object], staging, () => this.#target.addFile({ ...object, path }));
  }

  async #readStaged(digest: Buffer, staging: Staging): Promise<Buffer> {
    const path = staging.pathOf(digest);
    const bytes = await readFile(path);
    if (sha512(bytes).equals(digest)) return bytes;
    const message = `${path} has changed on its way to ${this.#target.location}`;
    throw new ImageUnpackerError('STORE_DAMAGED', message);
  }

  async #putLarge(chunks: AsyncIterable<Buffer>): Promise<Stored> {
    const staging = await this.#stage();
    const { digest, size } = await staging.store.putStream(chunks);
    await this.#target.rescue([digest]);
    let added = false;
    await this.#once([{ digest, size }], staging, async () => {
      added = (await this.#target.sizes([digest]))[0] !== size;
      if (added) await this.#target.addFile({ digest, size, path: staging.pathOf(digest) });
    });
    return { digest, size, added };
  }

  /** Does `work` with those that nobody else has under way, and removes them; what others do is waited for. */
  async #once(
    objects: readonly StagedFacts[],
    staging: Staging,
    work: (mine: readonly StagedFacts[]) => Promise<void>,
  ): Promise<void> {
    const keyOf = ({ digest }: StagedFacts): string => digest.toString('latin1');
    const others = objects.flatMap(object => this.#underWay.get(keyOf(object)) ?? []);
    const mine = objects.filter(object => !this.#underWay.has(keyOf(object)));
    const done = (async () => {
      if (mine.length > 0) await work(mine);
      for (const { digest } of mine) await staging.remove(digest);
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

interface StagedFacts {
  digest: Buffer;
  size: number;
}

/** Objects in their order, as many together as travel so. */
function batchesOf(
  objects: readonly StagedFacts[],
  most: { objects: number; bytes: number },
): StagedFacts[][] {
  const batches: StagedFacts[][] = [];
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
