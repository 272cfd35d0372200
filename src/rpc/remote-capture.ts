import type { ClientDuplexStream } from '@grpc/grpc-js';
import { createHash } from 'node:crypto';
import { blockDigests, decodeDiskMap, DISK_BLOCK_SIZE, type DiskMap } from '../image/disk-map.js';
import { ImageUnpackerError } from '../image/error.js';
import type { CaptureRequest, CaptureResponse } from './gen/image_unpacker/v1/unpacker.js';
import { decodeProgress } from './unpacker-messages.js';
import { OrderedBlocks } from './ordered-blocks.js';
import type { CallOptions, DiskCapture } from './unpacker.js';

type Call = ClientDuplexStream<CaptureRequest, CaptureResponse>;
type Event = NonNullable<CaptureResponse['event']>;

/** The map of the largest disk of EBS, 64 TiB; more is no map. */
const MAX_MAP_BYTES = 5 * 2 ** 30;
/** How long the agent may take to let go of the volume. */
const CLOSE_SECONDS = 30;
const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);

/** A disk that an agent elsewhere captures. Every block is compared with the map before it is handed out. */
export class RemoteCapture implements DiskCapture {
  readonly map: DiskMap;
  readonly #call: Call;
  readonly #events: AsyncIterator<CaptureResponse, undefined>;
  readonly #digests: (Buffer | undefined)[];
  readonly #explain: (reason: unknown) => Promise<unknown>;
  readonly #unwatch: () => void;
  readonly #blocks: OrderedBlocks;

  private constructor(
    call: Call,
    events: AsyncIterator<CaptureResponse, undefined>,
    map: DiskMap,
    explain: (reason: unknown) => Promise<unknown>,
    unwatch: () => void,
  ) {
    this.map = map;
    this.#call = call;
    this.#events = events;
    this.#digests = [...blockDigests(map)];
    this.#explain = explain;
    this.#unwatch = unwatch;
    this.#blocks = new OrderedBlocks({
      ask: numbers => call.write({ request: { $case: 'blocks', value: { numbers: [...numbers] } } }),
      next: () => this.#next(),
      abandon: () => {
        call.cancel();
      },
    });
  }

  /** Begins a capture and waits for its map. `explain` makes an error of ours of what a call fails with. */
  static async open(
    call: Call,
    what: { stream: string; digest: string },
    { signal, onProgress }: CallOptions,
    explain: (reason: unknown) => Promise<unknown>,
  ): Promise<RemoteCapture> {
    const stop = (): void => {
      call.cancel();
    };
    signal?.addEventListener('abort', stop, { once: true });
    const unwatch = (): void => signal?.removeEventListener('abort', stop);
    // Failures come by the iterator; one that nobody waits for is of no interest.
    call.on('error', () => undefined);
    const events = call[Symbol.asyncIterator]() as AsyncIterator<CaptureResponse, undefined>;
    try {
      call.write({ request: { $case: 'open', value: what } });
      const pieces: Buffer[] = [];
      for (let bytes = 0; bytes <= MAX_MAP_BYTES;) {
        const event = await nextEvent(events);
        if (event.$case === 'progress') onProgress?.(decodeProgress(event.value));
        if (event.$case !== 'map') continue;
        pieces.push(event.value.data);
        bytes += event.value.data.length;
        if (event.value.last) {
          return new RemoteCapture(call, events, decodeDiskMap(Buffer.concat(pieces)), explain, unwatch);
        }
      }
      throw unexpected('a map that is larger than that of any disk');
    } catch (reason) {
      unwatch();
      call.cancel();
      throw await explain(reason);
    }
  }

  async *blocks(numbers: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
    let at = 0;
    try {
      for await (const block of this.#blocks.take(numbers)) {
        this.#check(numbers[at++]!, block);
        yield block;
      }
    } catch (reason) {
      throw await this.#explain(reason);
    }
  }

  async close(): Promise<void> {
    this.#unwatch();
    const timer = setTimeout(() => {
      this.#call.cancel();
    }, CLOSE_SECONDS * 1000);
    try {
      if (this.#blocks.reading) this.#call.cancel();
      else this.#call.end();
      while ((await this.#events.next()).done !== true);
    } catch {
      // The call has ended, and with it the agent's hold on the volume.
    } finally {
      clearTimeout(timer);
    }
  }

  async #next(): Promise<Buffer> {
    let event = await nextEvent(this.#events);
    while (event.$case === 'progress') event = await nextEvent(this.#events);
    if (event.$case !== 'block') throw unexpected(`a ${event.$case} in place of a block`);
    const { data } = event.value;
    if (data.length === 0) return ZEROS;
    if (data.length === DISK_BLOCK_SIZE) return data;
    throw unexpected(`a block of ${String(data.length)} bytes`);
  }

  #check(number: number, block: Buffer): void {
    const wanted = this.#digests[number];
    const same =
      wanted === undefined ? block === ZEROS : createHash('sha256').update(block).digest().equals(wanted);
    if (same) return;
    const what = `Block ${String(number)} of the captured disk is not what the disk map says`;
    throw new ImageUnpackerError('STORE_DAMAGED', `${what}; capture the disk again`);
  }
}

async function nextEvent(events: AsyncIterator<CaptureResponse, undefined>): Promise<Event> {
  const next = await events.next();
  if (next.done === true) throw unexpected('the end of the capture');
  if (next.value.event === undefined) throw unexpected('nothing');
  return next.value.event;
}

function unexpected(what: string): ImageUnpackerError {
  return new ImageUnpackerError('INTERNAL', `The agent answered with ${what}; it may be of another version`);
}
