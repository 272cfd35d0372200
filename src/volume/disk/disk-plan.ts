import { ImageUnpackerError } from '../../image/error.js';
import type { DiskIdentity } from '../identity.js';
import { isOurDisk } from '../identity.js';
import type { Partition, PartitionTable } from './gpt.js';
import { SECTOR_BYTES, usableSectors } from './gpt.js';

/*
 * What is where on a disk: the partition that the BIOS loader lies in, the EFI system partition (ESP), and last,
 * so that it can grow, the root file system. All begin at whole MiB.
 */

/** How large the partitions before the root are, in bytes. */
export interface DiskShape {
  biosBootBytes: number;
  espBytes: number;
}

/** Numbers of the partitions. */
export const BIOS_BOOT = 1;
export const ESP = 2;
export const ROOT = 3;

const MIB = 1n << 20n;
const SECTOR = BigInt(SECTOR_BYTES);
const GRAIN = MIB / SECTOR;
/** Whole blocks of the file system, to the end of the disk. */
const DISK_GRAIN = 4096n;
/** Room for the least file system with its journal. */
const LEAST_ROOT_BYTES = 16n * MIB;

/** A loader with all modules takes a third of it. */
const DEFAULT_BIOS_BOOT_BYTES = 1 << 20;
/** Two boot loaders, or a small kernel or two; the least that FAT32 can be is 33 MiB. */
const DEFAULT_ESP_BYTES = 64 << 20;
export const DEFAULT_SHAPE: DiskShape = {
  biosBootBytes: DEFAULT_BIOS_BOOT_BYTES,
  espBytes: DEFAULT_ESP_BYTES,
};

const TYPES: Readonly<Record<number, { type: string; name: string }>> = {
  [BIOS_BOOT]: { type: '21686148-6449-6e6f-744e-656564454649', name: 'bios-boot' },
  [ESP]: { type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', name: 'esp' },
  // Not one of the types that systemd mounts by itself: what is mounted is said in the image's fstab.
  [ROOT]: { type: '0fc63daf-8483-4772-8e79-3d69d8477de4', name: 'root' },
};

/** The least size of a disk, in bytes, on which the root has so many. */
export function diskBytesFor(rootBytes: bigint, shape: DiskShape): bigint {
  const before = MIB + BigInt(shape.biosBootBytes) + BigInt(shape.espBytes);
  return before + ((rootBytes + MIB - 1n) / MIB) * MIB + MIB;
}

/**
 * The partition table for a disk of `size` bytes. Throws `DEVICE_TOO_SMALL`, and `UNSUPPORTED` for a size that is
 * no whole number of blocks.
 */
export function planTable(
  device: { path: string; size: bigint },
  shape: DiskShape,
  identity: Omit<DiskIdentity, 'uuid'>,
): PartitionTable {
  const { path, size } = device;
  if (size % DISK_GRAIN !== 0n) {
    const message = `${path} has ${String(size)} bytes, which is no multiple of 4096; give a disk of another size`;
    throw new ImageUnpackerError('UNSUPPORTED', message, { device: path });
  }
  for (const bytes of [shape.biosBootBytes, shape.espBytes]) {
    if (bytes > 0 && BigInt(bytes) % MIB === 0n) continue;
    const message = `Partitions have whole numbers of MiB, and at least one; ${String(bytes)} bytes are not that`;
    throw new ImageUnpackerError('USAGE', message);
  }
  const sectors = size / SECTOR;
  const espFirst = GRAIN + BigInt(shape.biosBootBytes) / SECTOR;
  const rootFirst = espFirst + BigInt(shape.espBytes) / SECTOR;
  const end = ((usableSectors(sectors).last + 1n) / GRAIN) * GRAIN;
  if ((end - rootFirst) * SECTOR < LEAST_ROOT_BYTES) {
    const needed = diskBytesFor(LEAST_ROOT_BYTES, shape);
    const message = `${path} is too small for a disk that boots: it has ${String(size)} bytes, and at least ${String(needed)} are needed`;
    throw new ImageUnpackerError('DEVICE_TOO_SMALL', message, {
      device: path,
      needed: Number(needed),
      available: Number(size),
    });
  }
  const partition = (number: number, id: string, first: bigint, next: bigint): Partition => ({
    number,
    id,
    first,
    last: next - 1n,
    attributes: 0n,
    ...TYPES[number]!,
  });
  return {
    id: identity.disk,
    sectors,
    partitions: [
      partition(BIOS_BOOT, identity.biosBoot, GRAIN, espFirst),
      partition(ESP, identity.esp, espFirst, rootFirst),
      partition(ROOT, identity.root, rootFirst, end),
    ],
  };
}

/** One of the partitions of a table of ours. */
export function partitionOf(table: PartitionTable, number: number): Partition {
  return table.partitions.find(partition => partition.number === number)!;
}

/** Where a partition begins, and how long it is, in bytes. */
export function extentOf({ first, last }: Partition): { offset: bigint; length: bigint } {
  return { offset: first * SECTOR, length: (last - first + 1n) * SECTOR };
}

/** The sizes that a table of ours was made with. */
export function shapeOf(table: PartitionTable): DiskShape {
  const bytes = (number: number): number => Number(extentOf(partitionOf(table, number)).length);
  return { biosBootBytes: bytes(BIOS_BOOT), espBytes: bytes(ESP) };
}

/** The names that a table of ours was made with. */
export function namesOf(table: PartitionTable): Pick<DiskIdentity, 'disk' | 'biosBoot' | 'esp' | 'root'> {
  const id = (number: number): string => partitionOf(table, number).id;
  return { disk: table.id, biosBoot: id(BIOS_BOOT), esp: id(ESP), root: id(ROOT) };
}

/** A table in which the disk and its partitions are called otherwise. */
export function withNames(table: PartitionTable, names: Omit<DiskIdentity, 'uuid'>): PartitionTable {
  const ids: Readonly<Record<number, string>> = {
    [BIOS_BOOT]: names.biosBoot,
    [ESP]: names.esp,
    [ROOT]: names.root,
  };
  const partitions = table.partitions.map(partition => ({ ...partition, id: ids[partition.number]! }));
  return { ...table, id: names.disk, partitions };
}

/** Whether a table has our mark. */
export function isOurTable(table: PartitionTable): boolean {
  return isOurDisk(table.id);
}

/** Whether a table with our mark is still as `planTable` makes tables. */
export function isAsPlanned(table: PartitionTable): boolean {
  const numbers = table.partitions.map(({ number }) => number);
  if (numbers.join() !== [BIOS_BOOT, ESP, ROOT].join()) return false;
  const shape = shapeOf(table);
  if (shape.biosBootBytes <= 0 || shape.espBytes <= 0) return false;
  try {
    const planned = planTable({ path: '', size: table.sectors * SECTOR }, shape, namesOf(table));
    return planned.partitions.every((partition, at) => {
      const is = table.partitions[at]!;
      return (
        is.type === partition.type &&
        is.first === partition.first &&
        is.last === partition.last &&
        is.name === partition.name &&
        is.attributes === 0n
      );
    });
  } catch (reason) {
    if (reason instanceof ImageUnpackerError) return false;
    throw reason;
  }
}
