import { DISK_BLOCK_SIZE, type DiskMap } from '../../image/disk-map.js';
import { silentProgress, type ProgressSink } from '../../image/progress.js';
import type { BlockDevice } from '../device.js';
import { refuseDamage } from '../ext4/damage.js';
import { readRuns, type BlockReader } from '../ext4/block-reader.js';
import { deviceReader } from '../ext4/device-reader.js';
import { surveyVolume, type Survey } from '../ext4/survey.js';
import { openVolume, type Ext4Volume } from '../ext4/volume.js';
import { copyDisk } from './copy-disk.js';
import { volumeParts, type DiskPart } from './disk-part.js';
import { blockRuns, cleanParts, type DiskRun } from './disk-run.js';
import type { OutputFile } from './output-file.js';

/** How reading a disk is watched and stopped. */
export interface ReadOptions {
  signal?: AbortSignal | undefined;
  progress?: ProgressSink | undefined;
}

/**
 * The disk behind a device as it is captured: what its file system has in use, cleaned, and zeros for all else.
 * The device must be held, and nobody may write to it, for as long as this is used.
 */
export class CleanDisk {
  readonly size: number;
  readonly #reader: BlockReader;
  readonly #volume: Ext4Volume;
  readonly #survey: Survey;
  #runs: ReadonlyMap<number, DiskRun> | undefined;

  private constructor(size: number, reader: BlockReader, volume: Ext4Volume, survey: Survey) {
    this.size = size;
    this.#reader = reader;
    this.#volume = volume;
    this.#survey = survey;
  }

  /** Finds out what of the disk is in use. Throws `VOLUME_*`, `UNSUPPORTED`, `DEVICE_FAILED`, `CANCELLED`. */
  static async open(device: BlockDevice, signal?: AbortSignal): Promise<CleanDisk> {
    const reader = deviceReader(device);
    const volume = await openVolume(reader, refuseDamage, signal);
    return new CleanDisk(Number(device.size), reader, volume, await surveyVolume(volume));
  }

  /** Reads all of the disk, once; writes it to `output`, if that is given. */
  async copy(output: OutputFile | undefined, options: ReadOptions = {}): Promise<DiskMap> {
    const { signal, progress = silentProgress } = options;
    const step = progress.step('Capturing the disk', 'bytes', this.size);
    const source = { reader: this.#reader, size: this.size, parts: this.#parts() };
    try {
      return await copyDisk({ ...source, output, step, signal });
    } finally {
      step.end();
    }
  }

  /**
   * The blocks of 512 KiB with these numbers, in that order, the last one of the disk zero-padded; undefined for
   * one that has nothing in use. Each is a buffer of its own.
   */
  async *blocks(
    numbers: readonly number[],
    signal?: AbortSignal,
  ): AsyncGenerator<Buffer | undefined, void, undefined> {
    const runs = (this.#runs ??= new Map(Array.from(blockRuns(this.#parts()), run => [run.of.index, run])));
    const wanted = numbers.map(number => runs.get(number));
    let next = 0;
    for await (const pieces of readRuns(
      this.#reader,
      wanted.filter(run => run !== undefined),
      signal,
    )) {
      for (const { data } of pieces) {
        for (; wanted[next] === undefined; next++) yield undefined;
        yield blockOf(wanted[next++]!, data);
      }
    }
    for (; next < wanted.length; next++) yield undefined;
  }

  #parts(): Iterable<DiskPart> {
    return volumeParts(this.#volume, this.#survey, 0);
  }
}

function blockOf(run: DiskRun, data: Buffer): Buffer {
  cleanParts(run, data);
  const block = Buffer.allocUnsafe(DISK_BLOCK_SIZE);
  block.fill(0, 0, run.of.offset);
  data.copy(block, run.of.offset);
  return block.fill(0, run.of.offset + data.length);
}
