import { once } from 'node:events';
import { ImageUnpackerError } from '../image/error.js';
import type { Stored } from '../store/store.js';
import type { HeldStore, Lease } from './held-store.js';

/** Who lost the connection has so long to come again. */
const GRACE_MILLISECONDS = 60_000;
/** Uploads that are under way; each has a connection, or had one lately. */
const MAX_UPLOADS = 256;

/** What a piece of an upload is sent with. */
export interface UploadPiece {
  digest: Buffer;
  /** Where its bytes begin in the object. */
  offset: number;
  /** How many bytes the object has. */
  size: number;
  body: AsyncIterable<Buffer>;
  signal: AbortSignal;
}

/** Stores bytes that are said to be `size` and to have that digest; resolves to the digest that they have. */
export type TakeStream = (
  lease: Lease,
  digest: Buffer,
  size: number,
  chunks: AsyncIterable<Buffer>,
) => Promise<Stored>;

const storeStream: TakeStream = ({ store }, _digest, _size, chunks) => store.putStream(chunks);

/**
 * Large objects on their way into the store. The bytes go straight there; when a connection breaks the store is kept waiting
 * for the rest, which the next connection brings.
 */
export class Uploads {
  readonly #held: HeldStore;
  readonly #take: TakeStream;
  readonly #underWay = new Map<string, Upload>();

  /** `take` stores what has come. */
  constructor(held: HeldStore, take: TakeStream = storeStream) {
    this.#held = held;
    this.#take = take;
  }

  get size(): number {
    return this.#underWay.size;
  }

  /** How many bytes have come of an object; 0 of one that is not on its way. */
  received(digest: Buffer): number {
    return this.#underWay.get(digest.toString('latin1'))?.received ?? 0;
  }

  /**
   * Takes the bytes of a piece, and when they are the last, resolves to what became of the object. Throws
   * `STATE_BUSY` when another connection sends the same or the piece does not go on where the last one ended.
   */
  async take(piece: UploadPiece): Promise<Stored> {
    const key = piece.digest.toString('latin1');
    let upload = this.#underWay.get(key);
    if (upload !== undefined && piece.offset === 0 && upload.received > 0 && !upload.isFed) {
      // Its sender has begun anew.
      upload.fail(gaveUp());
      this.#underWay.delete(key);
      upload = undefined;
    }
    upload ??= this.#begin(key, piece);
    await upload.feed(piece);
    return upload.stored;
  }

  /** Gives up all that has not come to its end. */
  async close(): Promise<void> {
    const uploads = [...this.#underWay.values()];
    for (const upload of uploads) upload.fail(gaveUp());
    await Promise.allSettled(uploads.map(({ stored }) => stored));
  }

  #begin(key: string, { digest, size, offset }: UploadPiece): Upload {
    if (offset !== 0) throw wrongOffset(0);
    if (this.#underWay.size >= MAX_UPLOADS)
      throw new ImageUnpackerError(
        'STATE_BUSY',
        'The image server has no room for another upload; try again later',
      );
    const upload = new Upload(digest, size, this.#take);
    const work = this.#held.use(lease => upload.store(lease));
    upload.stored = work.finally(() => {
      if (this.#underWay.get(key) === upload) this.#underWay.delete(key);
    });
    upload.stored.catch(() => undefined);
    this.#underWay.set(key, upload);
    return upload;
  }
}

class Upload {
  readonly #digest: Buffer;
  readonly #size: number;
  readonly #take: TakeStream;
  readonly #ended = new AbortController();
  readonly #events = new EventTarget();
  #waiting: Buffer | undefined;
  #timer: NodeJS.Timeout | undefined;
  received = 0;
  isFed = false;
  stored!: Promise<Stored>;

  constructor(digest: Buffer, size: number, take: TakeStream) {
    this.#digest = digest;
    this.#size = size;
    this.#take = take;
  }

  /** Stores what comes. What has another digest is stored under that one, which nobody needs, and is an error. */
  async store(lease: Lease): Promise<Stored> {
    try {
      const stored = await this.#take(lease, this.#digest, this.#size, this.#bytes());
      if (stored.digest.equals(this.#digest)) return stored;
      const hex = this.#digest.toString('hex');
      throw new ImageUnpackerError(
        'USAGE',
        `What was sent as the object ${hex} has another digest; send it again`,
      );
    } catch (reason) {
      // Who sends it is told what is wrong, such as that the disk is full.
      this.fail(reason);
      throw reason;
    } finally {
      this.fail(gaveUp());
    }
  }

  async feed({ offset, size, body, signal }: UploadPiece): Promise<void> {
    if (this.isFed)
      throw new ImageUnpackerError(
        'STATE_BUSY',
        'The same object is being sent by somebody else; try again later',
      );
    if (offset !== this.received || size !== this.#size) throw wrongOffset(this.received);
    this.isFed = true;
    clearTimeout(this.#timer);
    const stopped = AbortSignal.any([signal, this.#ended.signal]);
    try {
      for await (const chunk of body) {
        if (this.received + chunk.length > this.#size) {
          throw new ImageUnpackerError('USAGE', 'More bytes were sent than the object is said to have');
        }
        await this.#give(chunk, stopped);
      }
    } finally {
      this.isFed = false;
      if (this.received < this.#size) {
        this.#timer = setTimeout(() => {
          this.fail(gaveUp());
        }, GRACE_MILLISECONDS);
        this.#timer.unref();
      }
    }
    if (this.received < this.#size)
      throw new ImageUnpackerError('CANCELLED', 'The object did not come to its end');
  }

  /** Ends it, unless it has ended. */
  fail(reason: unknown): void {
    clearTimeout(this.#timer);
    this.#ended.abort(reason);
  }

  /** Waits until the store has taken it, and before that what a connection that broke has left. */
  async #give(chunk: Buffer, stopped: AbortSignal): Promise<void> {
    while (this.#waiting !== undefined) await this.#next('taken', stopped);
    this.#waiting = chunk;
    // The store takes it, whatever becomes of its connection: the next one goes on after it.
    this.received += chunk.length;
    this.#events.dispatchEvent(new Event('given'));
    await this.#next('taken', stopped);
  }

  async *#bytes(): AsyncGenerator<Buffer, void, undefined> {
    for (let passed = 0; passed < this.#size;) {
      while (this.#waiting === undefined) await this.#next('given', this.#ended.signal);
      const chunk = this.#waiting;
      passed += chunk.length;
      yield chunk;
      this.#waiting = undefined;
      this.#events.dispatchEvent(new Event('taken'));
    }
  }

  async #next(what: 'given' | 'taken', signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await once(this.#events, what, { signal }).catch((reason: unknown) => {
      throw signal.aborted ? (signal.reason as Error) : (reason as Error);
    });
  }
}

function wrongOffset(received: number): ImageUnpackerError {
  return new ImageUnpackerError(
    'STATE_BUSY',
    `The image server has ${String(received)} bytes of the object; send it from there on`,
  );
}

function gaveUp(): ImageUnpackerError {
  return new ImageUnpackerError('CANCELLED', 'The upload was given up; send the object again');
}
