import type { BootArea } from '../disk/boot-area.js';
import { extentsOf, readArea } from '../disk/boot-area.js';
import { BIOS_BOOT, ESP, extentOf, partitionOf, ROOT } from '../disk/disk-plan.js';
import type { PartitionTable } from '../disk/gpt.js';
import type { OpenVolume } from '../open-volume.js';
import type { Difference } from './compare-entries.js';

/** What stands for the path of something that lies beside the root partition of a disk. */
const TABLE = '(partition table)';
const BACKUP = '(backup of the partition table)';
const LOADER = '(BIOS boot loader)';
const EFI = '(EFI system partition)';

/** Compares what lies beside the root partition of a disk with what should. */
export async function compareArea(
  { disk }: OpenVolume,
  area: (table: PartitionTable) => BootArea,
): Promise<Difference[]> {
  if (disk === undefined) return [];
  const wanted = area(disk.table);
  const found = await readArea(disk.file, extentsOf(wanted));
  const differing = wanted.filter(({ bytes }, at) => !bytes.equals(found[at]!.bytes));
  const paths = new Set(differing.map(({ offset }) => nameOf(disk.table, BigInt(offset))));
  return [...paths].map(path => ({ path, what: 'content' }));
}

function nameOf(table: PartitionTable, offset: bigint): string {
  const isIn = (number: number): boolean => {
    const extent = extentOf(partitionOf(table, number));
    return offset >= extent.offset && offset < extent.offset + extent.length;
  };
  if (isIn(BIOS_BOOT)) return LOADER;
  if (isIn(ESP)) return EFI;
  return offset < extentOf(partitionOf(table, ROOT)).offset ? TABLE : BACKUP;
}
