import { sha512 } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';
import { BackgroundHash } from '../../native.js';
import { inParallel } from '../../image/in-parallel.js';
import type { ServerConnection } from './connection.js';
import { SMALL_BYTES } from './frames.js';

/** What one answer holds at most: that many are in memory, times `BATCHES_AT_ONCE`. */
const BATCH_OBJECTS = 512;
const BATCH_BYTES = 4 << 20;
const BATCHES_AT_ONCE = 4;

/** The objects of an image server. Whatever is handed out was hashed here. */
export class RemoteObjects {
  readonly #server: ServerConnection;

  constructor(server: ServerConnection) {
    this.#server = server;
  }

  /** Whole objects, which have at most `limit` bytes and the right digests. Throws `STORE_DAMAGED`. */
  async readMany(digests: readonly Buffer[], limit: number): Promise<Buffer[]> {
    const batches: Buffer[][] = [];
    for (let at = 0; at < digests.length; at += BATCH_OBJECTS)
      batches.push(digests.slice(at, at + BATCH_OBJECTS));
    const read = await inParallel(batches, BATCHES_AT_ONCE, batch => this.#readBatch(batch, limit));
    return read.flat();
  }

  /**
   * Those of the objects that are small, a batch at a time, in any order; what is missing or larger is left out, and so is what
   * came damaged. `take` has them.
   */
  async bringSmall(
    digests: readonly Buffer[],
    take: (bytes: Buffer) => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const sizes = await this.#server.sizes(digests, true);
    const small = digests.flatMap((digest, at) => {
      const size = sizes[at];
      return size !== undefined && size <= SMALL_BYTES ? [{ digest, size }] : [];
    });
    await inParallel(
      batchesOf(small),
      BATCHES_AT_ONCE,
      async batch => {
        const answers = await this.#server.objects(batch, SMALL_BYTES);
        for (const [at, answer] of answers.entries()) {
          if (answer.state === 'good' && sha512(answer.bytes).equals(batch[at]!)) await take(answer.bytes);
        }
      },
      signal,
    );
  }

  /** The bytes of the object; what comes last comes only when all is known to be right. */
  async *stream(digest: Buffer): AsyncGenerator<Buffer, void, undefined> {
    const hash = new BackgroundHash();
    let hashed: Promise<void> | undefined;
    let held: Buffer | undefined;
    for await (const chunk of this.#server.object(digest, 0)) {
      await hashed;
      // While it is hashed, what came before is used.
      hashed = hash.update(chunk);
      hashed.catch(() => undefined);
      if (held !== undefined) yield held;
      held = chunk;
    }
    await hashed;
    if (!hash.digest().equals(digest)) throw await this.#damaged(digest);
    if (held !== undefined) yield held;
  }

  async #readBatch(digests: readonly Buffer[], limit: number): Promise<Buffer[]> {
    const answers = await this.#server.objects(digests, limit);
    const objects: Buffer[] = [];
    for (const [at, answer] of answers.entries()) {
      const digest = digests[at]!;
      if (answer.state === 'larger') throw this.#fault(digest, 'is larger than anything of its kind');
      if (answer.state !== 'good') throw this.#fault(digest, `is ${answer.state}`);
      if (!sha512(answer.bytes).equals(digest)) throw await this.#damaged(digest);
      objects.push(answer.bytes);
    }
    return objects;
  }

  /** Has the server look at it: what came may have been damaged on its way. */
  async #damaged(digest: Buffer): Promise<ImageUnpackerError> {
    await this.#server.reportDamage([digest]).catch(() => undefined);
    return this.#fault(digest, 'came damaged: it does not have the digest that is its name');
  }

  #fault(digest: Buffer, what: string): ImageUnpackerError {
    const hex = digest.toString('hex');
    const { location } = this.#server;
    const message = `The object ${hex} of the store ${location} ${what}; 'imagetool verify' says what needs it`;
    return new ImageUnpackerError('STORE_DAMAGED', message, { path: location, digest: hex });
  }
}

function batchesOf(objects: readonly { digest: Buffer; size: number }[]): Buffer[][] {
  const batches: Buffer[][] = [];
  let bytes = 0;
  for (const { digest, size } of objects) {
    const last = batches.at(-1);
    bytes += size;
    if (last !== undefined && last.length < BATCH_OBJECTS && bytes <= BATCH_BYTES) last.push(digest);
    else {
      batches.push([digest]);
      bytes = size;
    }
  }
  return batches;
}
