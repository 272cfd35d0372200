import type { Readable, Writable } from 'node:stream';
import { ImageUnpackerError } from '../image/error.js';

/*
 *   frame = length data
 *   length = u32, little endian                     0: a block of zeros
 */

const LENGTH_BYTES = 4;

/** Sends a frame, and waits while the other end has enough to read. */
export async function writeFrame(socket: Writable, data: Buffer | undefined): Promise<void> {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(data?.length ?? 0);
  if (data === undefined) socket.write(length);
  else {
    socket.cork();
    socket.write(length);
    socket.write(data);
    socket.uncork();
  }
  if (!socket.writableNeedDrain) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (reason?: Error): void => {
      socket.off('drain', settle).off('error', settle).off('close', settle);
      if (socket.destroyed) reject(reason ?? new Error('The agent has closed the connection'));
      else resolve();
    };
    socket.on('drain', settle).on('error', settle).on('close', settle);
  });
}

/** Reads frames from a socket that a worker writes to. */
export class FrameReader {
  readonly #socket: Readable;
  #failure: Error | undefined;
  #wake = (): void => undefined;

  constructor(socket: Readable) {
    this.#socket = socket;
    // For good: a listener that comes anew is called at once for bytes that are too few.
    socket.on('readable', () => {
      this.#wake();
    });
    socket.on('error', reason => {
      this.fail(reason);
    });
    socket.on('close', () => {
      this.fail(new ImageUnpackerError('INTERNAL', 'The process that read the disk has ended'));
    });
  }

  /** Makes all reads that wait and all that come fail; the first failure is the one that counts. */
  fail(reason: Error): void {
    this.#failure ??= reason;
    this.#wake();
  }

  /** The next frame; undefined for a block of zeros. */
  async read(): Promise<Buffer | undefined> {
    const length = (await this.#take(LENGTH_BYTES)).readUInt32LE();
    return length === 0 ? undefined : this.#take(length);
  }

  async #take(bytes: number): Promise<Buffer> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const data = this.#socket.read(bytes) as Buffer | null;
      if (data?.length === bytes) return data;
      await new Promise<void>(resolve => (this.#wake = resolve));
    }
  }
}
