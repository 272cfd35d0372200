import type { ServerDuplexStream } from '@grpc/grpc-js';
import { once } from 'node:events';
import { DISK_BLOCK_SIZE, diskBlocks, encodeDiskMap } from '../image/disk-map.js';
import { ImageUnpackerError } from '../image/error.js';
import type { CaptureRequest, CaptureResponse } from './gen/image_unpacker/v1/unpacker.js';
import { encodeProgress } from './unpacker-messages.js';
import type { DiskCapture, Unpacker } from './unpacker.js';

type Call = ServerDuplexStream<CaptureRequest, CaptureResponse>;
type Event = NonNullable<CaptureResponse['event']>;

const MAP_PIECE_BYTES = 512 << 10;
/** Numbers that one request may have. */
export const MAX_NUMBERS = 4096;
const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);
const NOTHING = Buffer.alloc(0);

/** Serves a capture: holds the disk until the caller has no more requests, and sends it what it asks for. */
export async function serveCapture(call: Call, unpacker: Unpacker, signal: AbortSignal): Promise<void> {
  // An iterator that ends would otherwise take the other direction with it, and the call would have no end.
  const requests = call.iterator({ destroyOnReturn: false }) as AsyncIterator<CaptureRequest, undefined>;
  const first = await requests.next();
  const open = first.done === true ? undefined : first.value.request;
  if (open?.$case !== 'open') throw wrong('begins with something else than what is to be captured');
  const send = (event: Event): Promise<void> => write(call, event, signal);
  const capture = await unpacker.capture(open.value.stream, open.value.digest, {
    signal,
    onProgress: progress => {
      call.write({ event: { $case: 'progress', value: encodeProgress(progress) } });
    },
  });
  try {
    await sendMap(capture, send);
    for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
      const { request } = next.value;
      if (request?.$case !== 'blocks') throw wrong('goes on with something else than numbers of blocks');
      await sendBlocks(capture, request.value.numbers, send);
    }
  } finally {
    await capture.close();
  }
}

async function sendMap({ map }: DiskCapture, send: (event: Event) => Promise<void>): Promise<void> {
  const bytes = encodeDiskMap(map);
  for (let at = 0; at < bytes.length; at += MAP_PIECE_BYTES) {
    const data = bytes.subarray(at, at + MAP_PIECE_BYTES);
    await send({ $case: 'map', value: { data, last: at + MAP_PIECE_BYTES >= bytes.length } });
  }
}

async function sendBlocks(
  capture: DiskCapture,
  numbers: readonly number[],
  send: (event: Event) => Promise<void>,
): Promise<void> {
  if (numbers.length > MAX_NUMBERS) throw wrong(`asks for more than ${String(MAX_NUMBERS)} blocks at once`);
  const blocks = diskBlocks(capture.map.size);
  if (numbers.some(number => number >= blocks)) throw wrong('asks for a block beyond the end of the disk');
  for await (const block of capture.blocks(numbers)) {
    await send({ $case: 'block', value: { data: block.equals(ZEROS) ? NOTHING : block } });
  }
}

async function write(call: Call, event: Event, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (!call.write({ event })) await once(call, 'drain', { signal });
}

function wrong(what: string): ImageUnpackerError {
  return new ImageUnpackerError('USAGE', `The capture ${what}`);
}
