import { closeSync, constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { ImageUnpackerError } from '../../image/error.js';
import { attachLoop, blockDeviceSize, flushBuffers } from '../../native.js';
import { waitForLock } from '../../store/lock.js';
import type { BlockDevice } from '../device.js';
import { openDevice } from '../device.js';
import { diskOf, deviceNumber } from '../device-use.js';
import { writeTable } from './boot-area.js';
import { extentOf, partitionOf, ROOT } from './disk-plan.js';
import type { PartitionTable } from './gpt.js';
import { nodeOf } from './partition-nodes.js';

/** How long udev and its kind may look at a disk that was just written to. */
const LOCK_MILLISECONDS = 10_000;

/** How a disk is opened. */
export interface DiskUse {
  write: boolean;
  signal?: AbortSignal | undefined;
  /** Whether the kernel is to make nodes for partitions; else, or where it cannot, a loop device stands for the root. */
  nodes?: boolean | undefined;
}

/** The root partition, and the loop device that stands for it, if one does. */
interface OpenRoot {
  root: BlockDevice;
  loop?: { fd: number; /** Keeps everybody else from opening the disk exclusively. */ guard: FileHandle };
}

/**
 * A disk with a partition table of ours. The root partition is open exclusively, which keeps everybody from opening
 * the disk, or mounting or opening that partition, in the same way; the disk itself is open for what lies beside
 * the root. The file system is only ever reached through its own node: what the kernel caches of the disk may be
 * older.
 */
export class PartitionedDisk {
  readonly path: string;
  readonly size: bigint;
  /** The disk, for what lies outside of the root partition. */
  readonly file: FileHandle;
  table: PartitionTable;
  readonly root: BlockDevice;
  readonly #use: DiskUse;
  #loop: OpenRoot['loop'];

  private constructor(disk: BlockDevice, table: PartitionTable, { root, loop }: OpenRoot, use: DiskUse) {
    this.path = disk.path;
    this.size = disk.size;
    this.file = disk.file;
    this.table = table;
    this.root = root;
    this.#loop = loop;
    this.#use = use;
  }

  /**
   * Opens the root partition of a disk that is open exclusively, and takes it over: `device` is closed, whatever
   * comes of it. Throws `DEVICE_*`.
   */
  static async open(device: BlockDevice, table: PartitionTable, use: DiskUse): Promise<PartitionedDisk> {
    const file = await reopen(device, use.write);
    const disk = { path: device.path, size: device.size, file };
    try {
      if (use.write) await lock(disk, use.signal);
      return new PartitionedDisk(disk, table, await openRoot(disk, table, use), use);
    } catch (reason) {
      await file.close();
      throw reason;
    }
  }

  /** Gives the disk another table, in which the root partition begins where it did and has as much room at the least. */
  async changeTable(table: PartitionTable): Promise<void> {
    await writeTable(this.file, table);
    this.table = table;
    if (this.#loop === undefined) {
      await nodeOf({ path: this.path, fd: this.file.fd }, table, ROOT, this.#use.signal);
      this.root.size = blockDeviceSize(this.root.file.fd);
      return;
    }
    await this.#closeRoot();
    const { root, loop } = await openRoot(this, table, this.#use);
    this.#loop = loop;
    Object.assign(this.root, root);
  }

  /** Drops what the kernel caches of the disk, so that others do not read there what was in the root before. */
  flush(): void {
    flushBuffers(this.file.fd);
  }

  async close(): Promise<void> {
    await this.#closeRoot();
    await this.file.close();
  }

  async #closeRoot(): Promise<void> {
    await this.root.file.close();
    if (this.#loop === undefined) return;
    closeSync(this.#loop.fd);
    await this.#loop.guard.close();
  }
}

/** Opens the very device again, not exclusively, and closes it as it was open. */
async function reopen(device: BlockDevice, write: boolean): Promise<FileHandle> {
  try {
    const flags = write ? constants.O_RDWR : constants.O_RDONLY;
    return await open(`/proc/self/fd/${String(device.file.fd)}`, flags);
  } finally {
    await device.file.close();
  }
}

/** Holds off udev, which else has the kernel read the table anew as soon as the disk was written to. */
async function lock({ path, file }: BlockDevice, signal: AbortSignal | undefined): Promise<void> {
  if (await waitForLock(file.fd, 'exclusive', LOCK_MILLISECONDS, signal)) return;
  const message = `${path} is locked by another program; run this again when that has ended`;
  throw new ImageUnpackerError('DEVICE_IN_USE', message, { device: path });
}

async function openRoot(disk: BlockDevice, table: PartitionTable, use: DiskUse): Promise<OpenRoot> {
  const { path, file } = disk;
  const node = use.nodes === false ? undefined : await nodeOf({ path, fd: file.fd }, table, ROOT, use.signal);
  if (node === undefined) return openLoop(disk, table, use);
  const root = await openDevice(node, use);
  try {
    await checkBelongs(root, disk);
    return { root };
  } catch (reason) {
    await root.file.close();
    throw reason;
  }
}

/** A node may be of another disk by now. */
async function checkBelongs(root: BlockDevice, disk: BlockDevice): Promise<void> {
  const parent = await diskOf(deviceNumber((await root.file.stat()).rdev));
  if (parent === deviceNumber((await disk.file.stat()).rdev)) return;
  const message = `${root.path} is not a partition of ${disk.path}; attach the disk again`;
  throw new ImageUnpackerError('DEVICE_FAILED', message, { device: disk.path });
}

/** Where there are no nodes of partitions, a loop device stands for that part of the disk. */
async function openLoop(disk: BlockDevice, table: PartitionTable, use: DiskUse): Promise<OpenRoot> {
  const { path, file } = disk;
  const guard = await open(`/proc/self/fd/${String(file.fd)}`, constants.O_RDONLY | constants.O_EXCL);
  try {
    const part = { ...extentOf(partitionOf(table, ROOT)), readOnly: !use.write };
    const loop = await attachLoop(file.fd, path, part);
    try {
      return { root: await openDevice(loop.path, use), loop: { fd: loop.fd, guard } };
    } catch (reason) {
      closeSync(loop.fd);
      throw reason;
    }
  } catch (reason) {
    await guard.close();
    throw ImageUnpackerError.from(reason, `Cannot reach the root partition of ${path}`, { device: path });
  }
}
