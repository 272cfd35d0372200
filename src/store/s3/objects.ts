import { createHash } from 'node:crypto';
import { DIGEST_BYTES, sha512 } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Watch } from '../../native.js';
import { inParallel } from '../../image/in-parallel.js';
import type { ObjectChecks, ObjectFault, Stored } from '../store.js';
import type { Bucket, KeyFacts } from './bucket.js';
import { CONNECTIONS } from './bucket.js';
import { objectKey, OBJECTS, SHARDS } from './layout.js';

/** An object that is read whole has so many bytes at once in memory, times this many. */
const READS_AT_ONCE = 16;
/** A connection that breaks is taken up again where it was; as often as this without a byte, and it is given up. */
const RESUMPTIONS = 5;
/** From so many on it is quicker to list all objects, a thousand with one request. */
const LIST_FROM = 2000;

/** The objects of a store on S3. Whatever is handed out was hashed, but for `part`. */
export class S3Objects {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** The size of each object in bytes; undefined of one that is not there. Content is not looked at. */
  async sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    const unique = new Map(digests.map(digest => [digest.toString('latin1'), digest]));
    const found = unique.size < LIST_FROM ? await this.#headAll(unique) : await this.#listAll();
    return digests.map(digest => found.get(digest.toString('latin1')));
  }

  /** Tells `visit` what is known of each object, in any order. */
  async visitAll(visit: (facts: KeyFacts & { digest: Buffer }) => void): Promise<void> {
    await inParallel(SHARDS, CONNECTIONS, async shard => {
      for await (const facts of this.#bucket.list(`${OBJECTS}${shard}`)) {
        const digest = digestOfKey(facts.key);
        if (digest !== undefined) visit({ ...facts, digest });
      }
    });
  }

  async #headAll(digests: ReadonlyMap<string, Buffer>): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    await inParallel([...digests], CONNECTIONS, async ([name, digest]) => {
      const facts = await this.#bucket.head(objectKey(digest));
      if (facts !== undefined) sizes.set(name, facts.size);
    });
    return sizes;
  }

  async #listAll(): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    await this.visitAll(({ digest, size }) => sizes.set(digest.toString('latin1'), size));
    return sizes;
  }

  /** Whole objects, which have at most `limit` bytes and the right digests. Throws `STORE_DAMAGED`. */
  async readMany(digests: readonly Buffer[], limit: number): Promise<Buffer[]> {
    return inParallel(digests, CONNECTIONS, async digest => {
      const found = await this.#bucket.get(objectKey(digest), limit).catch((reason: unknown) => {
        const isTooLarge = reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED';
        throw isTooLarge ? this.fault(digest, 'is larger than anything of its kind') : reason;
      });
      if (found === undefined) throw this.fault(digest, 'is missing');
      if (!sha512(found.bytes).equals(digest)) throw this.fault(digest, OTHER_DIGEST);
      return found.bytes;
    });
  }

  /** The bytes of the object; what comes last comes only when all is known to be right. */
  async *stream(digest: Buffer): AsyncGenerator<Buffer, void, undefined> {
    const hash = createHash('sha512');
    let held: Buffer | undefined;
    for await (const chunk of this.#bytesOf(digest)) {
      if (held !== undefined) yield held;
      held = chunk;
      hash.update(chunk);
    }
    if (!hash.digest().equals(digest)) throw this.fault(digest, OTHER_DIGEST);
    if (held !== undefined) yield held;
  }

  /** The bytes of an object from `start` on, up to `end`, which nobody has hashed. Throws `STORE_DAMAGED` if it is missing. */
  async *part(digest: Buffer, start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    if (start < end) yield* this.#bytesOf(digest, { start, end });
  }

  async *#bytesOf(digest: Buffer, range?: { start: number; end: number }): AsyncGenerator<Buffer> {
    const key = objectKey(digest);
    let at = range?.start ?? 0;
    let end = range?.end;
    let etag: string | undefined;
    for (let failures = 0; ;) {
      const wanted = end === undefined ? undefined : { start: at, end };
      const found = await this.#bucket.open(key, wanted, etag);
      if (found === undefined) throw this.fault(digest, 'is missing');
      etag ??= found.etag;
      end ??= found.size;
      try {
        for await (const chunk of found.body as AsyncIterable<Buffer>) {
          at += chunk.length;
          failures = 0;
          yield chunk;
        }
        if (at >= end) return;
      } catch (reason) {
        failures++;
        if (failures > RESUMPTIONS) await this.#bucket.ask('read', () => Promise.reject(reason as Error));
      } finally {
        found.body.destroy();
      }
      if (at >= end) return;
    }
  }

  /**
   * Stores bytes under their digest. What is there is compared with them: by the MD5 that S3 has of it, and by reading it
   * where it has none.
   */
  async put(bytes: Buffer, digest = sha512(bytes)): Promise<Stored> {
    const key = objectKey(digest);
    const stored = { digest, size: bytes.length };
    const there = await this.#bucket.head(key);
    if (there === undefined) {
      // Who is quicker stores the same.
      return { ...stored, added: (await this.#bucket.put(key, bytes, 'new')) !== undefined };
    }
    const md5 = `"${createHash('md5').update(bytes).digest('hex')}"`;
    if (there.size === bytes.length) {
      if (there.etag === md5) return { ...stored, added: false };
      if ((await this.#bucket.get(key, bytes.length))?.bytes.equals(bytes) === true)
        return { ...stored, added: false };
    }
    await this.#bucket.put(key, bytes);
    return { ...stored, added: true };
  }

  /** Stores bytes of which it is known that they are not there. */
  async add(digest: Buffer, bytes: Buffer): Promise<void> {
    await this.#bucket.put(objectKey(digest), bytes);
  }

  /** Reads and hashes objects. */
  async check(digests: readonly Buffer[], { signal, onProgress }: Watch): Promise<ObjectChecks> {
    const faults: ObjectFault[] = [];
    let [objects, read] = [0, 0];
    const states = await inParallel(
      digests,
      READS_AT_ONCE,
      async digest => {
        let size = 0;
        const hash = createHash('sha512');
        try {
          for await (const chunk of this.#bytesOf(digest)) {
            size += chunk.length;
            hash.update(chunk);
            onProgress?.(objects, (read += chunk.length));
          }
        } catch (reason) {
          if (reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED')
            return { state: 'missing' as const, size: 0 };
          throw reason;
        }
        onProgress?.(++objects, read);
        return hash.digest().equals(digest) ? { size } : { state: 'damaged' as const, size };
      },
      signal,
    );
    for (const [at, { state }] of states.entries())
      if (state !== undefined) faults.push({ digest: digests[at]!, state });
    return { faults, sizes: states.map(({ size }) => size) };
  }

  fault(digest: Buffer, what: string): ImageUnpackerError {
    const hex = digest.toString('hex');
    const { location } = this.#bucket;
    const message = `The object ${hex} of the store ${location} ${what}; run 'imagetool verify' on its image, and then build that content again`;
    return new ImageUnpackerError('STORE_DAMAGED', message, { path: location, digest: hex });
  }
}

const OTHER_DIGEST = 'is damaged: it does not have the digest that is its name';

function digestOfKey(key: string): Buffer | undefined {
  const hex = key.slice(key.lastIndexOf('/') + 1);
  return hex.length === DIGEST_BYTES * 2 ? Buffer.from(hex, 'hex') : undefined;
}
