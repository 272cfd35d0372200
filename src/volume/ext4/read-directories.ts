import { BLOCK_SIZE } from '../../image/entry.js';
import { readRuns, type Run } from './block-reader.js';
import { damaged, reporting } from './damage.js';
import { decodeDirectoryBlock, type DirectoryBlockKind, type DirectoryRecord } from './directory.js';
import { FLAG_INDEX, type Inode } from './inode.js';
import type { InodeStore } from './inode-store.js';
import type { Ext4Volume } from './volume.js';

/** A directory: its own inode and its parent's as it names them, and what else it names, sorted. */
export interface Directory {
  self: number | undefined;
  parent: number | undefined;
  records: DirectoryRecord[];
}

interface Part {
  number: number;
  seed: number;
  kind: DirectoryBlockKind;
}

/** Reads all directories, by inode. A block that cannot be understood is reported and left out. */
export async function readDirectories(
  volume: Ext4Volume,
  store: InodeStore,
): Promise<Map<number, Directory>> {
  const directories = new Map<number, Directory>();
  const runs: Run<Part>[] = [];
  for (const inode of store.ofType('directory')) {
    directories.set(inode.number, { self: undefined, parent: undefined, records: [] });
    reporting(volume.report, inode.number, () => {
      for (const run of directoryRuns(store, inode)) runs.push(run);
    });
  }
  runs.sort((a, b) => a.block - b.block);
  for await (const pieces of readRuns(volume.reader, runs, volume.signal)) {
    for (const { run, count, data } of pieces) {
      const { number, seed, kind } = run.of;
      const directory = directories.get(number)!;
      for (let at = 0; at < count; at++) {
        const block = data.subarray(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE);
        reporting(volume.report, number, () => {
          addRecords(directory, decodeDirectoryBlock(block, kind, seed));
        });
      }
    }
  }
  for (const [number, directory] of directories) {
    reporting(volume.report, number, () => {
      sortRecords(number, directory);
    });
  }
  return directories;
}

function directoryRuns(store: InodeStore, inode: Inode): Run<Part>[] {
  const { number, seed } = inode;
  const indexed = (inode.flags & FLAG_INDEX) !== 0;
  const runs: Run<Part>[] = [];
  let next = 0;
  for (const { logical, physical, count, unwritten } of store.mapOf(inode).extents) {
    if (logical !== next || unwritten) throw damaged('the directory has a hole');
    const rest = logical === 0 && indexed ? 1 : 0;
    if (rest > 0) runs.push({ block: physical, count: 1, of: { number, seed, kind: 'indexed-root' } });
    const kind = indexed ? 'indexed' : 'directory';
    if (count > rest) runs.push({ block: physical + rest, count: count - rest, of: { number, seed, kind } });
    next = logical + count;
  }
  return runs;
}

function addRecords(directory: Directory, records: readonly DirectoryRecord[]): void {
  for (const record of records) {
    if (record.name === '.') directory.self = record.inode;
    else if (record.name === '..') directory.parent = record.inode;
    else directory.records.push(record);
  }
}

function sortRecords(number: number, { self, parent, records }: Directory): void {
  records.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  if (self !== number || parent === undefined)
    throw damaged('the directory does not name itself and its parent');
  if (records.some((record, index) => records[index + 1]?.name === record.name)) {
    throw damaged('the directory holds a name twice');
  }
}
