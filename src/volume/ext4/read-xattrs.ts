import { BLOCK_SIZE, type Xattr } from '../../image/entry.js';
import { displayBytes } from '../../image/path.js';
import { readBlocks, readRuns } from './block-reader.js';
import { damaged, reportDamage, reporting } from './damage.js';
import { FLAG_VALUE, type Inode } from './inode.js';
import type { InodeStore } from './inode-store.js';
import type { Ext4Volume } from './volume.js';
import { decodeBodyXattrs, decodeXattrBlock, type StoredXattrs, type ValueInInode } from './xattr.js';

/** The extended attributes of inodes. What stands in blocks was read before; it is shared between inodes. */
export class Xattrs {
  readonly #blocks: ReadonlyMap<number, StoredXattrs>;
  readonly #values: ReadonlyMap<number, Buffer>;

  private constructor(blocks: ReadonlyMap<number, StoredXattrs>, values: ReadonlyMap<number, Buffer>) {
    this.#blocks = blocks;
    this.#values = values;
  }

  /** Reads the attribute blocks of all inodes and the values in inodes of their own. Reports faults. */
  static async read(volume: Ext4Volume, store: InodeStore): Promise<Xattrs> {
    const blocks = await readXattrBlocks(volume, store);
    return new Xattrs(blocks, await readValues(volume, store, blocks));
  }

  /** The attributes of an inode, sorted by name. Throws `VOLUME_DAMAGED`. */
  of(inode: Inode): Xattr[] {
    const body = decodeBodyXattrs(inode.xattrs);
    const block = inode.xattrBlock === 0 ? undefined : this.#blocks.get(inode.xattrBlock);
    const inInodes = [...body.inInodes, ...(block?.inInodes ?? [])];
    const xattrs = [...body.xattrs, ...(block?.xattrs ?? []), ...inInodes.flatMap(one => this.#valueOf(one))];
    xattrs.sort((a, b) => a.name.compare(b.name));
    const twice = xattrs.find((xattr, index) => xattrs[index + 1]?.name.equals(xattr.name));
    if (twice !== undefined) throw damaged(`the attribute ${displayBytes(twice.name)} stands twice`);
    return xattrs;
  }

  #valueOf({ name, inode }: ValueInInode): Xattr[] {
    const value = this.#values.get(inode);
    return value === undefined ? [] : [{ name, value }];
  }
}

async function readXattrBlocks(volume: Ext4Volume, store: InodeStore): Promise<Map<number, StoredXattrs>> {
  const users = new Map<number, number[]>();
  for (const { number, xattrBlock } of store) {
    if (xattrBlock !== 0 && !users.get(xattrBlock)?.push(number)) users.set(xattrBlock, [number]);
  }
  const runs = [...users.keys()].sort((a, b) => a - b).map(block => ({ block, count: 1, of: undefined }));
  const blocks = new Map<number, StoredXattrs>();
  for await (const pieces of readRuns(volume.reader, runs, volume.signal)) {
    for (const { run, data } of pieces) {
      const inodes = users.get(run.block)!;
      reporting(volume.report, inodes[0], () => {
        const stored = decodeXattrBlock(data, run.block, volume.superblock.seed);
        blocks.set(run.block, stored);
        if (stored.users !== inodes.length)
          throw damaged(`block ${String(run.block)} counts its users wrong`);
      });
    }
  }
  return blocks;
}

/** Values by the inode that holds them. */
async function readValues(
  volume: Ext4Volume,
  store: InodeStore,
  blocks: ReadonlyMap<number, StoredXattrs>,
): Promise<Map<number, Buffer>> {
  const values = new Map<number, Buffer>();
  if (!volume.superblock.valuesInInodes) return values;
  const wanted = [...blocks.values()].flatMap(stored => stored.inInodes);
  for (const inode of store) {
    reporting(volume.report, inode.number, () => {
      wanted.push(...decodeBodyXattrs(inode.xattrs).inInodes);
    });
  }
  for (const value of wanted) {
    if (values.has(value.inode)) continue;
    try {
      values.set(value.inode, await readValue(volume, store, value));
    } catch (error) {
      reportDamage(volume.report, value.inode, error);
    }
  }
  return values;
}

async function readValue(
  volume: Ext4Volume,
  store: InodeStore,
  { inode, size }: ValueInInode,
): Promise<Buffer> {
  const holder = store.get(inode);
  if (holder?.type !== 'file' || (holder.flags & FLAG_VALUE) === 0 || holder.size !== size) {
    throw damaged('the value of an attribute stands in an inode that holds none');
  }
  const value = Buffer.alloc(Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE);
  for (const { logical, physical, count, unwritten } of store.mapOf(holder).extents) {
    for (let at = 0; at < count && !unwritten; at++) {
      (await readBlocks(volume.reader, physical + at, 1)).copy(value, (logical + at) * BLOCK_SIZE);
    }
  }
  return value.subarray(0, size);
}
