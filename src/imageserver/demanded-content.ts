import { createHash } from 'node:crypto';
import { sha512 } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import type { SmallObject, Stored } from '../store/store.js';
import type { DamageControl } from './damage.js';
import type { Lease } from './held-store.js';

const FOREVER = new AbortController().signal;

/**
 * Compares what is sent with what is there, byte by byte: against two contents that have the same SHA-512. What is there and
 * damaged is told apart from that, and stored anew as always.
 */
export class DemandedContent {
  readonly #damage: DamageControl;
  readonly #collided: (digest: string) => void;

  /** `collided` is told of each object that is sent with another content than it has here. */
  constructor(damage: DamageControl, collided: (digest: string) => void) {
    this.#damage = damage;
    this.#collided = collided;
  }

  /** Stores those of the objects that are not here; resolves to which those were. Throws `USAGE`, `CONTENT_COLLISION`. */
  async putMany(lease: Lease, objects: readonly SmallObject[]): Promise<boolean[]> {
    const added: boolean[] = [];
    for (const { digest, bytes } of objects) {
      if (!sha512(bytes).equals(digest))
        throw new ImageUnpackerError(
          'USAGE',
          `What was sent as the object ${digest.toString('hex')} has another digest; send it again`,
        );
      const isHere = await this.#hasBytes(lease, digest, bytes);
      added.push(!isHere && (await lease.store.put(bytes)).added);
    }
    return added;
  }

  /**
   * Whether an object, whose bytes have that digest, is there with these very bytes; if not it is missing or damaged. Throws
   * `CONTENT_COLLISION`.
   */
  async #hasBytes(lease: Lease, digest: Buffer, bytes: Buffer): Promise<boolean> {
    const [size] = await this.#damage.sizes(lease, [digest], true);
    if (size === undefined) return false;
    const there = new StoredBytes(lease, digest, size);
    try {
      if ((await there.continuesWith(bytes)) && (await there.isAtEnd())) return true;
    } finally {
      await there.close();
    }
    return this.#isNot(lease, digest);
  }

  /**
   * Stores bytes that come bit by bit, or compares them if there is an object of that digest and size. Resolves to the digest
   * of what came, which need not be `digest`. Throws `CONTENT_COLLISION`, and `STATE_BUSY` when what is there was found to
   * be damaged: it does not count as there any more.
   */
  async takeStream(
    lease: Lease,
    digest: Buffer,
    size: number,
    chunks: AsyncIterable<Buffer>,
  ): Promise<Stored> {
    if ((await this.#damage.sizes(lease, [digest], true))[0] !== size) return lease.store.putStream(chunks);
    const there = new StoredBytes(lease, digest, size);
    const hash = createHash('sha512');
    let isSame = true;
    try {
      for await (const chunk of chunks) {
        hash.update(chunk);
        isSame &&= await there.continuesWith(chunk);
      }
    } finally {
      await there.close();
    }
    const stored: Stored = { digest: hash.digest(), size, added: false };
    if (isSame || !stored.digest.equals(digest)) return stored;
    await this.#isNot(lease, digest);
    const message = `The object ${digest.toString('hex')} was damaged here; send it again, which mends it`;
    throw new ImageUnpackerError('STATE_BUSY', message);
  }

  /** False when what is there is damaged. Throws `CONTENT_COLLISION` when it has the digest as well. */
  async #isNot(lease: Lease, digest: Buffer): Promise<boolean> {
    const { faults } = await lease.store.check([digest], {});
    if (faults.length > 0) {
      await this.#damage.look(lease, [digest], FOREVER);
      return false;
    }
    const hex = digest.toString('hex');
    this.#collided(hex);
    throw new ImageUnpackerError(
      'CONTENT_COLLISION',
      `The object ${hex} is here with another content, which has the same SHA-512; nothing was changed. Keep both, and tell who looks after the server`,
      { digest: hex },
    );
  }
}

/** The bytes of an object that is here, to be compared one part after the other. */
class StoredBytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #waiting: Buffer = Buffer.alloc(0);

  constructor({ parts }: Lease, digest: Buffer, size: number) {
    this.#chunks = parts.part(digest, 0, size)[Symbol.asyncIterator]();
  }

  async continuesWith(bytes: Buffer): Promise<boolean> {
    for (let at = 0; at < bytes.length;) {
      if (await this.isAtEnd()) return false;
      const length = Math.min(this.#waiting.length, bytes.length - at);
      if (!this.#waiting.subarray(0, length).equals(bytes.subarray(at, at + length))) return false;
      this.#waiting = this.#waiting.subarray(length);
      at += length;
    }
    return true;
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#waiting.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return true;
      this.#waiting = next.value;
    }
    return false;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
