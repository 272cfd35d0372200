import { DISK_BLOCK_SIZE, type DiskMap } from '../../image/disk-map.js';
import { silentProgress, type ProgressSink } from '../../image/progress.js';
import type { OpenVolume } from '../open-volume.js';
import { refuseDamage } from '../ext4/damage.js';
import { readRuns, type BlockReader } from '../ext4/block-reader.js';
import { deviceReader } from '../ext4/device-reader.js';
import { surveyVolume, type Survey } from '../ext4/survey.js';
import { openVolume, type Ext4Volume } from '../ext4/volume.js';
import type { DiskFacts } from './beside.js';
import { Beside } from './beside.js';
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
 * The disk behind a device as it is captured: what its file system has in use, cleaned, what lies beside that on a
 * disk with partitions, and zeros for all else. The device must be held, and nobody may write to it, for as long as this is used.
 */
export class CleanDisk {
  readonly size: number;
  readonly #reader: BlockReader;
  readonly #volume: Ext4Volume;
  readonly #survey: Survey;
  readonly #beside: Beside | undefined;
  #runs: ReadonlyMap<number, DiskRun> | undefined;

  private constructor(
    size: number,
    reader: BlockReader,
    volume: Ext4Volume,
    survey: Survey,
    beside: Beside | undefined,
  ) {
    this.size = size;
    this.#reader = reader;
    this.#volume = volume;
    this.#survey = survey;
    this.#beside = beside;
  }

  /**
   * Finds out what of the disk is in use; `known` is what is known to lie beside the root partition. Throws
   * `VOLUME_*`, `UNSUPPORTED`, `DEVICE_FAILED`, `CANCELLED`.
   */
  static async open(volume: OpenVolume, known: DiskFacts, signal?: AbortSignal): Promise<CleanDisk> {
    const { device, disk } = volume;
    const beside = disk === undefined ? undefined : await Beside.read(disk, known);
    const reader = deviceReader(device);
    const ext4 = await openVolume(reader, refuseDamage, signal);
    const size = Number((disk ?? device).size);
    return new CleanDisk(size, beside?.around(reader) ?? reader, ext4, await surveyVolume(ext4), beside);
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
    const beside = this.#beside;
    if (beside === undefined) return volumeParts(this.#volume, this.#survey, 0);
    return beside.partsAround(volumeParts(this.#volume, this.#survey, beside.rootOffset));
  }
}

function blockOf(run: DiskRun, data: Buffer): Buffer {
  cleanParts(run, data);
  const block = Buffer.allocUnsafe(DISK_BLOCK_SIZE);
  block.fill(0, 0, run.of.offset);
  data.copy(block, run.of.offset);
  return block.fill(0, run.of.offset + data.length);
}
