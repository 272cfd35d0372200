import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { blockDeviceSize } from '../../native.js';
import { sysfsDirectory } from '../device-use.js';
import type { Superblock } from '../superblock.js';
import { readSuperblock } from '../superblock.js';
import { extentOf, partitionOf, ROOT } from './disk-plan.js';
import { partitionsIn } from './partition-nodes.js';
import { readTable } from './read-table.js';

/**
 * The superblock of the volume on a device or in an image file, be it a disk or a file system as a whole, to look at:
 * nothing is held. Undefined when there is none.
 */
export async function rootSuperblock(path: string): Promise<Superblock | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const isDevice = (await file.stat()).isBlockDevice();
    const size = isDevice ? blockDeviceSize(file.fd) : BigInt((await file.stat()).size);
    const found = await readTable(file, size);
    if (found === undefined) return await readSuperblock(file);
    const { offset } = extentOf(partitionOf(found.table, ROOT));
    const node = isDevice ? await rootNode(path, offset) : undefined;
    if (node === undefined) return await readSuperblock(file, Number(offset));
    try {
      return await readSuperblock(node);
    } finally {
      await node.close();
    }
  } finally {
    await file.close();
  }
}

/** The node of the root partition, if the kernel has one: what it caches of the disk may be older. */
async function rootNode(path: string, offset: bigint): Promise<FileHandle | undefined> {
  const known = await partitionsIn(await sysfsDirectory(path));
  const root = known.find(partition => partition.number === ROOT && partition.offset === offset);
  return root && open(`/dev/${root.name}`, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined);
}
