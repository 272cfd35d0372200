import { ImageUnpackerError } from '../image/error.js';
import { writeTable } from './disk/boot-area.js';
import type { DiskShape } from './disk/disk-plan.js';
import { extentOf, namesOf, partitionOf, planTable, ROOT, shapeOf } from './disk/disk-plan.js';
import { SECTOR_BYTES } from './disk/gpt.js';
import { PartitionedDisk } from './disk/partitioned-disk.js';
import type { FoundTable } from './disk/read-table.js';
import { readTable } from './disk/read-table.js';
import type { BlockDevice } from './device.js';
import { openDevice } from './device.js';
import type { DiskIdentity, Layout } from './identity.js';
import { zeroDevice } from './make-file-system.js';
import type { Content } from './probe.js';
import { probeDevice } from './probe.js';

/** How a volume is opened. */
export interface VolumeUse {
  device: string;
  write: boolean;
  signal?: AbortSignal | undefined;
  /** See `DiskUse`. */
  nodes?: boolean | undefined;
}

/** What a disk is made with. */
export interface NewDisk {
  shape: DiskShape;
  identity: DiskIdentity;
}

/** Less than this at the end of a device is left as it is: mke2fs may have had no use for it. */
const LEAST_GROWTH_BYTES = 16n << 20n;

/** A volume whose device is open: a file system on all of it, or a disk with partitions. */
export class OpenVolume {
  readonly #use: VolumeUse;
  readonly #found: FoundTable | undefined;
  readonly #whole: BlockDevice;
  #disk: PartitionedDisk | undefined;
  readonly content: Content;

  private constructor(
    use: VolumeUse,
    whole: BlockDevice,
    found: FoundTable | undefined,
    disk: PartitionedDisk | undefined,
    content: Content,
  ) {
    this.#use = use;
    this.#whole = whole;
    this.#found = found;
    this.#disk = disk;
    this.content = content;
  }

  /**
   * Opens a device exclusively and finds out what is on it. Throws `DEVICE_*`, and `VOLUME_DAMAGED` when
   * somebody has changed the partitions of a disk of ours.
   */
  static async open(use: VolumeUse): Promise<OpenVolume> {
    const whole = await openDevice(use.device, use);
    let disk: PartitionedDisk | undefined;
    try {
      const found = await readTable(whole.file, whole.size);
      if (found !== undefined) {
        checkTable(whole, found);
        disk = await PartitionedDisk.open(whole, found.table, use);
      }
      const content = await probeDevice(disk?.root ?? whole, use.signal);
      checkFits(disk?.root ?? whole, content);
      return new OpenVolume(use, whole, found, disk, content);
    } catch (reason) {
      await (disk ?? whole.file).close();
      throw reason;
    }
  }

  /** How what is on the device is laid out; undefined when nothing of ours is. */
  get layout(): Layout | undefined {
    if (this.#disk !== undefined) return 'disk';
    return this.content.kind === 'ours' ? 'whole' : undefined;
  }

  /** The device that was opened. */
  get path(): string {
    return this.#whole.path;
  }

  /** The device that has the file system; until there is one, the device that was opened. */
  get device(): BlockDevice {
    return this.#disk?.root ?? this.#whole;
  }

  get disk(): PartitionedDisk | undefined {
    return this.#disk;
  }

  /** What of the partition table was not whole. */
  get torn(): readonly string[] {
    return this.#found?.torn ?? [];
  }

  /** Where the file system would be if the device were formatted: its name, and how many bytes there are for it. */
  space(disk: NewDisk | undefined): { path: string; size: bigint } {
    const { path, size } = this.#whole;
    if (disk === undefined) return { path, size };
    const root = partitionOf(planTable({ path, size }, disk.shape, disk.identity), ROOT);
    return { path, size: extentOf(root).length };
  }

  /**
   * Gives up what is on the device, and partitions it if a disk is wanted. Resolves to whether the device of the
   * file system reads as zeros now.
   */
  async format(disk: NewDisk | undefined): Promise<boolean> {
    const whole = this.#disk === undefined ? this.#whole : await this.#takeBack(this.#disk);
    const zeroed = await zeroDevice(whole);
    if (disk !== undefined) {
      const table = planTable(whole, disk.shape, disk.identity);
      await writeTable(whole.file, table);
      this.#disk = await PartitionedDisk.open(whole, table, this.#use);
    }
    return zeroed;
  }

  /** Whether the device has become larger than what is on it. */
  get hasGrown(): boolean {
    if (this.content.kind !== 'ours') return false;
    const used = this.content.superblock.blocks * 4096n;
    if (this.#disk === undefined) return this.#whole.size - used >= LEAST_GROWTH_BYTES;
    const { size, table, root } = this.#disk;
    const disk = table.sectors * BigInt(SECTOR_BYTES);
    return size - disk >= LEAST_GROWTH_BYTES || root.size - used >= LEAST_GROWTH_BYTES;
  }

  /** Makes the root partition of a disk as large as it can be. */
  async growPartition(): Promise<void> {
    const disk = this.#disk;
    if (disk === undefined) return;
    const table = planTable(disk, shapeOf(disk.table), namesOf(disk.table));
    await disk.changeTable(table);
  }

  async close(): Promise<void> {
    await (this.#disk ?? this.#whole.file).close();
  }

  /** A disk whose root partition has no file system of ours: it is made anew as a whole. */
  async #takeBack(disk: PartitionedDisk): Promise<BlockDevice> {
    this.#disk = undefined;
    await disk.close();
    const { file } = await openDevice(this.#whole.path, this.#use);
    this.#whole.file = file;
    return this.#whole;
  }
}

function checkTable({ path, size }: BlockDevice, { table, foreign }: FoundTable): void {
  if (foreign) {
    const message = `The partitions of ${path} have been changed since it was made; wipe it with wipefs --all to have it made anew`;
    throw new ImageUnpackerError('VOLUME_DAMAGED', message, { device: path });
  }
  const needed = table.sectors * BigInt(SECTOR_BYTES);
  if (needed > size) throw shrunk(path, needed, size);
}

function checkFits({ path, size }: BlockDevice, content: Content): void {
  if (content.kind !== 'ours') return;
  const needed = content.superblock.blocks * 4096n;
  if (needed > size) throw shrunk(path, needed, size);
}

function shrunk(path: string, needed: bigint, available: bigint): ImageUnpackerError {
  const message = `${path} has become smaller than what is on it: it has ${String(available)} bytes, and ${String(needed)} are needed; give it its former size, or wipe it with wipefs --all`;
  return new ImageUnpackerError('DEVICE_TOO_SMALL', message, {
    device: path,
    needed: Number(needed),
    available: Number(available),
  });
}
