import type { DirectoryEntry } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import { loadPathHash } from '../image/path-hash.js';
import type { ProgressSink } from '../image/progress.js';
import type { Watch } from '../native.js';
import type { BlockDevice } from './device.js';
import { inodesWith, isInodesAstray, requireInodes } from './inode-count.js';
import type { KnownTree } from './known-tree.js';
import { KnownTreeBuilder } from './known-tree.js';
import { repairFileSystem } from './repair-file-system.js';
import type { ScannedTree } from './scan-volume.js';
import { scanVolume } from './scan-volume.js';
import type { StateDirectory } from './state-directory.js';
import { isDamagedState } from './state-directory.js';
import type { Superblock } from './superblock.js';
import { readSuperblock } from './superblock.js';
import type { ImageReference, OpenKnownTree, VolumeRecord } from './volume-record.js';
import { forgetState, openKnownTree, readRecord } from './volume-record.js';

/**
 * How it was found out what is on a volume:
 *   none    it was known, and nobody has written to it since
 *   stat    it was known; inodes that are not as they were have been read
 *   full    everything was read
 *   repair  work on it had been interrupted: the file system was repaired, and at least what that work touched was read
 */
export type ScanKind = 'none' | 'stat' | 'full' | 'repair';

/** What is on a volume. */
export interface CurrentTree {
  tree: KnownTree;
  /** Whether the tree's pages are those that the record stores. */
  stored: boolean;
  scan: ScanKind;
  /** The image that was put there, as far as is known. */
  from: ImageReference | null;
  /** Undefined where a file system has yet to be made. */
  record: VolumeRecord | undefined;
  close(): Promise<void>;
}

/** How to find out. */
export interface LookOptions {
  state: StateDirectory;
  verify: 'auto' | 'full';
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
  /** Called before the volume is written to. */
  beforeWrite: () => Promise<void>;
}

/** Finds out what is on a volume of ours, reading no more of it than is needed. */
export async function currentTree(
  device: BlockDevice,
  superblock: Superblock,
  options: LookOptions,
): Promise<CurrentTree> {
  const record = await findRecord(options.state, superblock);
  const known = options.verify === 'full' ? undefined : await openIfWhole(record);
  try {
    const scan = scanKind(record, known, superblock);
    const from = record.journal?.from ?? record.state?.image ?? null;
    if (scan === 'none')
      return { tree: known!, stored: true, scan, from, record, close: () => known!.close() };
    const look = (): Promise<ScannedTree> =>
      scanned(device, record, scan === 'full' ? undefined : known, options);
    const repair = async (): Promise<void> => {
      await options.beforeWrite();
      // What somebody else's crash left, and what is repaired of it, no stat shows; were this one cut short, none would.
      if (scan !== 'repair') await forgetState(record);
      await repairFileSystem(device, options);
    };
    if (!superblock.clean || scan === 'repair') await repair();
    const tree = await wholeTree(device, look, repair);
    await known?.close();
    return { tree, stored: false, scan, from, record, close: () => Promise.resolve() };
  } catch (reason) {
    await known?.close();
    throw reason;
  }
}

/** What `look` finds. When something is in use that has no name, it is repaired first. */
async function wholeTree(
  device: BlockDevice,
  look: () => Promise<ScannedTree>,
  repair: () => Promise<void>,
): Promise<KnownTree> {
  const requireWhole = async ({ tree, inodes }: ScannedTree): Promise<KnownTree> => {
    requireInodes(device, await checkedSuperblock(device), inodesWith(inodes));
    return tree;
  };
  try {
    return await requireWhole(await look());
  } catch (reason) {
    if (!isInodesAstray(reason)) throw reason;
    await repair();
    return requireWhole(await look());
  }
}

/** The record of a volume, as `knownRecord` finds it, or a new one. */
export async function findRecord(state: StateDirectory, superblock: Superblock): Promise<VolumeRecord> {
  return (
    (await knownRecord(state, superblock)) ?? {
      directory: await state.newRecord(superblock.key),
      state: undefined,
      journal: undefined,
    }
  );
}

/**
 * The record of a volume: the one that knows it by its fingerprint, else one that tells of interrupted
 * work, else the latest; undefined when there is none.
 */
export async function knownRecord(
  state: StateDirectory,
  superblock: Superblock,
): Promise<VolumeRecord | undefined> {
  const records: VolumeRecord[] = [];
  for (const directory of await state.recordsOf(superblock.key)) records.push(await readRecord(directory));
  const certain = records.find(
    ({ state: known, journal }) => journal === undefined && known?.fingerprint === superblock.fingerprint,
  );
  if (certain !== undefined) return certain;
  const interrupted = records.filter(({ journal }) => journal !== undefined);
  // Which of several copies was interrupted cannot be told: then nothing is relied on.
  if (interrupted.length > 1) return { ...interrupted[0]!, state: undefined, journal: undefined };
  return interrupted[0] ?? records.at(-1);
}

async function openIfWhole(record: VolumeRecord): Promise<OpenKnownTree | undefined> {
  if (record.state === undefined) return undefined;
  try {
    return await openKnownTree(record, record.state);
  } catch (reason) {
    // What was known is lost: then all of the volume is read.
    if (isDamagedState(reason)) return undefined;
    throw reason;
  }
}

function scanKind(record: VolumeRecord, known: KnownTree | undefined, superblock: Superblock): ScanKind {
  if (record.journal !== undefined) return 'repair';
  if (known === undefined || !superblock.clean) return 'full';
  return record.state?.fingerprint === superblock.fingerprint ? 'none' : 'stat';
}

async function scanned(
  device: BlockDevice,
  record: VolumeRecord,
  known: KnownTree | undefined,
  options: LookOptions,
): Promise<ScannedTree> {
  const step = options.progress.step('Scanning the volume', 'entries');
  const watch: Watch = {
    signal: options.signal,
    onProgress: items => {
      step.update(items);
    },
  };
  try {
    const doubtful = new Set(record.journal?.paths);
    return await scanVolume(device, { known, doubtful }, watch);
  } finally {
    step.end();
  }
}

/** What is on a device that has no file system of ours: a root of which nothing is as it will be. */
export async function noTree(): Promise<CurrentTree> {
  const root: DirectoryEntry = {
    type: 'directory',
    path: Buffer.alloc(0),
    mode: 0,
    uid: 0xffff_fffe,
    gid: 0xffff_fffe,
    // No image has this time, so that the root's metadata is always set.
    mtime: -(2n ** 62n),
    flags: 0,
    xattrs: [],
  };
  const builder = new KnownTreeBuilder(await loadPathHash());
  builder.add(root, { inode: 0, ctime: 0n });
  const close = (): Promise<void> => Promise.resolve();
  return { tree: builder.finish(), stored: false, scan: 'none', from: null, record: undefined, close };
}

/** Reads the superblock of a volume after work on it. Throws `VOLUME_DAMAGED` if the kernel found errors. */
export async function checkedSuperblock(device: BlockDevice): Promise<Superblock> {
  const superblock = await readSuperblock(device.file);
  if (superblock?.clean === true) return superblock;
  throw new ImageUnpackerError(
    'VOLUME_DAMAGED',
    `The file system on ${device.path} was not left in order; run apply again to repair it`,
    { device: device.path },
  );
}
