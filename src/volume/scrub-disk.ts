import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { DISK_BLOCK_SIZE } from '../image/disk-map.js';
import { BLOCK_SIZE } from '../image/entry.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { ProgressSink } from '../image/progress.js';
import type { DiskFacts } from './capture/beside.js';
import { CleanDisk } from './capture/clean-disk.js';
import { extentOf, partitionOf, ROOT } from './disk/disk-plan.js';
import type { BlockReader } from './ext4/block-reader.js';
import { readBlocks } from './ext4/block-reader.js';
import { deviceReader, nameDevice } from './ext4/device-reader.js';
import type { OpenVolume } from './open-volume.js';

const BLOCKS_AT_ONCE = DISK_BLOCK_SIZE / BLOCK_SIZE;
const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);

/** How a disk is scrubbed. */
export interface ScrubOptions {
  /** Called before anything is written. */
  begin: () => Promise<void>;
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/**
 * Makes a disk itself what a capture of it gives: zeros wherever nothing is in use, and in all slack. All of the disk
 * is read, and only what differs is written, durably. `known` is what lies beside the root partition. Resolves to
 * whether anything did differ. Throws `VOLUME_*`, `UNSUPPORTED`, `DEVICE_FAILED`, `CANCELLED`.
 */
export async function scrubDisk(
  volume: OpenVolume,
  known: DiskFacts,
  { begin, progress, signal }: ScrubOptions,
): Promise<boolean> {
  try {
    const clean = await CleanDisk.open(volume, known, signal);
    const step = progress.step('Scrubbing the disk', 'bytes', clean.size);
    // Who only looked at the file system has left its device open for reading.
    const root = await open(`/proc/self/fd/${String(volume.device.file.fd)}`, constants.O_RDWR);
    try {
      const raw = new RawDisk(volume, root, clean.size);
      const numbers = Array.from({ length: Math.ceil(raw.blocks / BLOCKS_AT_ONCE) }, (_, number) => number);
      let [block, changed] = [0, false];
      for await (const want of clean.blocks(numbers, signal)) {
        throwIfAborted(signal);
        const have = await readBlocks(raw, block, Math.min(BLOCKS_AT_ONCE, raw.blocks - block));
        for (const { start, bytes } of differing(have, want ?? ZEROS)) {
          if (!changed) await begin();
          changed = true;
          await raw.write(block * BLOCK_SIZE + start, bytes);
        }
        block += BLOCKS_AT_ONCE;
        step.update(block * BLOCK_SIZE);
      }
      if (changed) await raw.sync();
      return changed;
    } finally {
      step.end();
      await root.close();
    }
  } catch (reason) {
    throw nameDevice(reason, volume.path);
  }
}

/** The pages that are to be others, neighbours together. `want` may be longer. */
function differing(have: Buffer, want: Buffer): { start: number; bytes: Buffer }[] {
  if (have.compare(want, 0, have.length) === 0) return [];
  const found: { start: number; bytes: Buffer }[] = [];
  let start: number | undefined;
  for (let at = 0; at <= have.length; at += BLOCK_SIZE) {
    const end = at + BLOCK_SIZE;
    const differs = at < have.length && have.compare(want, at, end, at, end) !== 0;
    if (differs) start ??= at;
    else if (start !== undefined) {
      found.push({ start, bytes: want.subarray(start, at) });
      start = undefined;
    }
  }
  return found;
}

/**
 * All bytes of a disk. Those of the root partition are reached through its own node, as the kernel caches the two apart.
 */
class RawDisk implements BlockReader {
  readonly blocks: number;
  readonly #root: { path: string; file: FileHandle; reader: BlockReader; start: number; end: number };
  readonly #whole: { path: string; file: FileHandle; reader: BlockReader };

  /** `file` is the device of the root partition, or of all of it, open for writing. */
  constructor({ device, disk, path }: OpenVolume, file: FileHandle, size: number) {
    this.blocks = Math.floor(size / BLOCK_SIZE);
    const { offset } = disk === undefined ? { offset: 0n } : extentOf(partitionOf(disk.table, ROOT));
    const start = Number(offset);
    const reader = deviceReader({ ...device, file });
    const end = start + reader.blocks * BLOCK_SIZE;
    this.#root = { path: device.path, file, reader, start, end };
    const whole = disk ?? { ...device, file };
    this.#whole = { path, file: whole.file, reader: deviceReader(whole) };
  }

  async read(block: number, count: number, into: Buffer): Promise<void> {
    for (const { from, to, isRoot } of this.#split(block * BLOCK_SIZE, count * BLOCK_SIZE)) {
      const part = into.subarray(from - block * BLOCK_SIZE, to - block * BLOCK_SIZE);
      const { reader } = isRoot ? this.#root : this.#whole;
      const first = (isRoot ? from - this.#root.start : from) / BLOCK_SIZE;
      await reader.read(first, part.length / BLOCK_SIZE, part);
    }
  }

  async write(position: number, bytes: Buffer): Promise<void> {
    for (const { from, to, isRoot } of this.#split(position, bytes.length)) {
      const { file, path } = isRoot ? this.#root : this.#whole;
      const at = isRoot ? from - this.#root.start : from;
      const part = bytes.subarray(from - position, to - position);
      for (let done = 0; done < part.length;) {
        done += await file.write(part, done, part.length - done, at + done).then(
          ({ bytesWritten }) => bytesWritten,
          (reason: unknown) => {
            throw cannotWrite(path, at + done, reason);
          },
        );
      }
    }
  }

  async sync(): Promise<void> {
    for (const { file, path } of [this.#root, this.#whole]) {
      await file.sync().catch((reason: unknown) => {
        throw cannotWrite(path, 0, reason);
      });
    }
  }

  /** The parts of a range before, within and behind the root. */
  *#split(start: number, length: number): Generator<{ from: number; to: number; isRoot: boolean }> {
    const stops = [start, this.#root.start, this.#root.end, start + length];
    const [first, a, b, last] = stops.map(each => Math.min(Math.max(each, start), start + length));
    if (first! < a!) yield { from: first!, to: a!, isRoot: false };
    if (a! < b!) yield { from: a!, to: b!, isRoot: true };
    if (b! < last!) yield { from: b!, to: last!, isRoot: false };
  }
}

function cannotWrite(device: string, position: number, cause: unknown): ImageUnpackerError {
  const message = `Cannot write to ${device} at byte ${String(position)}: ${(cause as Error).message}`;
  return new ImageUnpackerError('DEVICE_FAILED', message, { device }, cause);
}
