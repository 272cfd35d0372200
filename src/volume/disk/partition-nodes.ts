import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import { changePartition, isNativeError } from '../../native.js';
import { sysfsDirectory, deviceNumber } from '../device-use.js';
import { extentOf } from './disk-plan.js';
import type { Partition, PartitionTable } from './gpt.js';

/*
 * The partitions of a disk as the kernel knows them. They are told to it one by one, so that it need not be able to
 * parse a table, and nothing else of the disk is disturbed. Others may be at the same: udev has the kernel read the
 * table again when a disk that was written to is closed, unless the disk is locked.
 */

/** How long somebody may hold on to a partition that has to change. */
const BUSY_SECONDS = 10;
/** How long a node may take to appear; in a container it never does. */
const NODE_SECONDS = 3;
const POLL_MILLISECONDS = 20;
/** sysfs counts in these, whatever the sectors of the disk are. */
const SYSFS_SECTOR_BYTES = 512n;

/** A partition that the kernel knows. */
interface KernelPartition {
  /** Of its node in /dev. */
  name: string;
  /** MAJOR:MINOR. */
  device: string;
  number: number;
  offset: bigint;
  length: bigint;
}

/** A disk that is open and whose path is known. */
interface OpenDisk {
  path: string;
  fd: number;
}

/**
 * Makes the kernel know the partitions of `table` and no others, and resolves to the node of partition `number`;
 * to undefined when there are no nodes to be had. Throws `DEVICE_IN_USE` when a partition that has to change is
 * in use.
 */
export async function nodeOf(
  disk: OpenDisk,
  table: PartitionTable,
  number: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const directory = await sysfsDirectory(disk.path);
  const began = performance.now();
  let settledAt: number | undefined;
  for (;;) {
    throwIfAborted(signal);
    const late = performance.now() > began + BUSY_SECONDS * 1000;
    const known = await partitionsIn(directory);
    const outcome = tell(disk, table, known, late);
    if (outcome === 'unsupported') return undefined;
    const found = known.find(partition => partition.number === number);
    if (outcome === 'settled' && found !== undefined) {
      const path = `/dev/${found.name.replaceAll('!', '/')}`;
      const there = await stat(path).catch(() => undefined);
      if (there?.isBlockDevice() === true && deviceNumber(there.rdev) === found.device) return path;
      settledAt ??= performance.now();
      if (performance.now() > settledAt + NODE_SECONDS * 1000) return undefined;
    }
    if (outcome !== 'told') await sleep(POLL_MILLISECONDS);
  }
}

/** Tells the kernel what it does not know yet. */
function tell(
  { path, fd }: OpenDisk,
  { partitions }: PartitionTable,
  known: readonly KernelPartition[],
  late: boolean,
): 'settled' | 'told' | 'busy' | 'unsupported' {
  let outcome: 'settled' | 'told' | 'busy' = 'settled';
  const attempt = (change: () => void): boolean => {
    try {
      change();
      if (outcome === 'settled') outcome = 'told';
      return true;
    } catch (reason) {
      if (!isNativeError(reason)) throw reason;
      // Somebody else was quicker, or holds it; what the kernel knows then is looked at again.
      if (['EBUSY', 'ENXIO'].includes(reason.code) && !late) outcome = 'busy';
      else if (['EINVAL', 'ENOTTY', 'EOPNOTSUPP'].includes(reason.code)) return false;
      else throw inUse(path, reason);
      return true;
    }
  };
  for (const { number, offset, length } of known) {
    const wanted = partitions.find(partition => partition.number === number);
    if (wanted !== undefined && isAt(wanted, offset, length)) continue;
    const start = wanted === undefined ? undefined : extentOf(wanted);
    const grows = start !== undefined && start.offset === offset && start.length > length;
    if (grows) attempt(() => changePartition(fd, 'resize', number, offset, start.length));
    else attempt(() => changePartition(fd, 'delete', number, 0n, 0n));
  }
  for (const wanted of partitions) {
    if (known.some(({ number }) => number === wanted.number)) continue;
    const { offset, length } = extentOf(wanted);
    if (!attempt(() => changePartition(fd, 'add', wanted.number, offset, length))) return 'unsupported';
  }
  return outcome;
}

function isAt(partition: Partition, offset: bigint, length: bigint): boolean {
  const extent = extentOf(partition);
  return extent.offset === offset && extent.length === length;
}

/** The partitions of the disk whose directory in sysfs is given. */
export async function partitionsIn(directory: string): Promise<KernelPartition[]> {
  const found: KernelPartition[] = [];
  for (const name of await readdir(directory)) {
    const field = (file: string): Promise<string> => readFile(join(directory, name, file), 'utf8');
    try {
      found.push({
        name,
        number: Number(await field('partition')),
        device: (await field('dev')).trim(),
        offset: BigInt((await field('start')).trim()) * SYSFS_SECTOR_BYTES,
        length: BigInt((await field('size')).trim()) * SYSFS_SECTOR_BYTES,
      });
    } catch (reason) {
      // No partition, or one that has just gone.
      const { code } = reason as NodeJS.ErrnoException;
      if (!['ENOENT', 'ENOTDIR', 'ENODEV', 'EINVAL'].includes(code ?? '')) throw reason;
    }
  }
  return found;
}

function inUse(path: string, reason: unknown): ImageUnpackerError {
  const what = `The partitions that the kernel knows of ${path} are not those on it, and cannot be changed`;
  const why = (reason as Error).message;
  return new ImageUnpackerError(
    'DEVICE_IN_USE',
    `${what} (${why}); end what uses them, or detach and attach it again`,
    { device: path },
    reason,
  );
}
