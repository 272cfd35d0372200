import { readFile } from 'node:fs/promises';
import { sha512 } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Watch } from '../../native.js';
import { ingestFiles } from '../../native.js';
import type { IngestedFile } from '../../source/scan.js';
import { decodeDigests, encodeDigests, unpackFiles } from '../../source/scan.js';
import type { ObjectCache, Staging } from '../cache/cache.js';
import { inParallel } from '../in-parallel.js';
import type { Stored } from '../store.js';
import type { Bucket } from './bucket.js';
import { objectKey } from './layout.js';
import { putFile, SINGLE_BYTES } from './multipart.js';
import type { S3Objects } from './objects.js';

/** A stream up to this size is held in memory; a larger one is a file until its digest is known. */
const HELD_BYTES = 1 << 20;
const SMALL_AT_ONCE = 48;
/** Each of them has a whole object, or some parts of one, in memory. */
const LARGE_AT_ONCE = 2;
/** So much of files is copied before it is uploaded. */
const STAGED_BYTES = 1n << 30n;

/** What is stored in a store on S3 from streams and files. What is on its way is a file of this machine. */
export class S3Uploads {
  readonly #bucket: Bucket;
  readonly #objects: S3Objects;
  readonly #cache: ObjectCache;
  readonly #rescue: (digests: readonly Buffer[]) => Promise<void>;
  readonly #underWay = new Map<string, Promise<boolean>>();
  #staging: Promise<Staging> | undefined;

  constructor(
    bucket: Bucket,
    objects: S3Objects,
    cache: ObjectCache,
    rescue: (digests: readonly Buffer[]) => Promise<void>,
  ) {
    this.#bucket = bucket;
    this.#objects = objects;
    this.#cache = cache;
    this.#rescue = rescue;
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
    await this.#rescue([digest]);
    return { digest, size, added: await this.#unlessUnderWay(digest, () => this.#putSmall(digest, bytes)) };
  }

  /** As `Store.ingest`. Files are hashed first, and what is missing is read again and uploaded. */
  async ingest(root: number, packed: Buffer, watch: Watch): Promise<Buffer> {
    const files = unpackFiles(packed);
    const known = files.flatMap(({ known: digest }) => digest ?? []);
    await this.#rescue(known);
    const knownSizes = await this.#objects.sizes(known);
    let at = 0;
    const skipped = files.map(({ known: digest, bytes }) => {
      return digest !== undefined && knownSizes[at++] === Number(bytes);
    });
    const toRead = files.filter((_, number) => !skipped[number]).map(withoutKnown);
    const hashed = [...decodeDigests(await ingestFiles(root, Buffer.concat(toRead), undefined, watch))].map(
      ({ digest }) => digest,
    );
    await this.#rescue(hashed);
    const sizes = await this.#objects.sizes(hashed);
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
    objects: readonly { digest: Buffer; size: number }[],
    staging: Staging,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const upload = async (object: { digest: Buffer; size: number }): Promise<void> => {
      await this.#once(object, staging, () => Promise.resolve(true));
    };
    const small = objects.filter(({ size }) => size <= HELD_BYTES);
    const large = objects.filter(({ size }) => size > HELD_BYTES);
    await inParallel(small, SMALL_AT_ONCE, upload, signal);
    await inParallel(large, LARGE_AT_ONCE, upload, signal);
  }

  async #uploadOne({ digest, size }: { digest: Buffer; size: number }, staging: Staging): Promise<void> {
    const path = staging.pathOf(digest);
    if (size > SINGLE_BYTES) {
      await putFile(this.#bucket, objectKey(digest), path, { digest, size });
      return;
    }
    const bytes = await readFile(path);
    if (!sha512(bytes).equals(digest)) {
      throw new ImageUnpackerError(
        'STORE_DAMAGED',
        `${path} has changed on its way to ${this.#bucket.location}`,
      );
    }
    await this.#objects.add(digest, bytes);
  }

  async #putLarge(chunks: AsyncIterable<Buffer>): Promise<Stored> {
    const staging = await this.#stage();
    const { digest, size } = await staging.store.putStream(chunks);
    await this.#rescue([digest]);
    const isMissing = async (): Promise<boolean> => (await this.#objects.sizes([digest]))[0] !== size;
    const added = await this.#once({ digest, size }, staging, isMissing);
    return { digest, size, added };
  }

  /** Uploads what is staged if it is missing, and removes it; while somebody else does, that is waited for. */
  async #once(
    object: { digest: Buffer; size: number },
    staging: Staging,
    isMissing: () => Promise<boolean>,
  ): Promise<boolean> {
    return this.#unlessUnderWay(object.digest, async () => {
      const added = await isMissing();
      if (added) await this.#uploadOne(object, staging);
      await staging.remove(object.digest);
      return added;
    });
  }

  async #putSmall(digest: Buffer, bytes: Buffer): Promise<boolean> {
    const added = (await this.#objects.sizes([digest]))[0] !== bytes.length;
    if (added) await this.#objects.add(digest, bytes);
    return added;
  }

  /** Stores an object; while somebody else stores the same, that is waited for. Whether it was added here. */
  async #unlessUnderWay(digest: Buffer, store: () => Promise<boolean>): Promise<boolean> {
    const key = digest.toString('latin1');
    const others = this.#underWay.get(key);
    if (others !== undefined) {
      await others;
      return false;
    }
    const work = store().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, work);
    return work;
  }

  async #stage(): Promise<Staging> {
    this.#staging ??= this.#cache.stage();
    return this.#staging;
  }
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
