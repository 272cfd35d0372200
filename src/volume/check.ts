import type { Entry } from '../image/entry.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import { LOST_AND_FOUND } from '../image/ext4-limits.js';
import { comparePaths, displayPath } from '../image/path.js';
import { silentProgress, type ProgressSink } from '../image/progress.js';
import { compareEntries, type Difference } from './check/compare-entries.js';
import { compareArea } from './check/compare-area.js';
import type { BlockDevice } from './device.js';
import type { BootArea } from './disk/boot-area.js';
import type { PartitionTable } from './disk/gpt.js';
import { reportDamage, type Report } from './ext4/damage.js';
import { deviceReader, nameDevice } from './ext4/device-reader.js';
import { readTree, type Ext4Tree } from './ext4/tree.js';
import { openVolume } from './ext4/volume.js';
import type { DiskIdentity } from './identity.js';
import { OpenVolume } from './open-volume.js';
import { runTool } from './tool.js';

export type { Difference } from './check/compare-entries.js';

/** All entries, the root first, sorted by path components. */
export type Entries = AsyncIterable<Entry> | Iterable<Entry>;

/** What a volume should hold. */
export interface WantedContent {
  entries: Entries;
  /** What should lie beside the root partition of a disk with that table; left out, that is not looked at. */
  area?: (table: PartitionTable) => BootArea;
  /** What the disk and its file system should be called; left out, that is not looked at. */
  names?: DiskIdentity | undefined;
}

/** What is checked, and how. */
export interface CheckOptions {
  /** The device: a disk with partitions, or what holds the file system itself. */
  device: string;
  /** What should be there, or what tells that of the volume once it is open. */
  wanted: Entries | ((volume: OpenVolume) => Promise<WantedContent>);
  /** Whether e2fsck looks at the file system as well. Default: yes. */
  fsck?: boolean;
  signal?: AbortSignal | undefined;
  progress?: ProgressSink;
}

export interface CheckResult {
  identical: boolean;
  differences: Difference[];
}

/** Stands for the path of what is wrong with the file system and not with one of its entries. */
const FILE_SYSTEM = '(file system)';
/** From this exit status on e2fsck says that it failed itself, not that the volume is faulty. */
const FSCK_OPERATIONAL_ERROR = 8;

/**
 * Compares a volume with what it should hold, reading all of it from the device itself and writing
 * nothing. The device must not be mounted and is held for the time. The directory `lost+found` of the root
 * counts only if it is wanted; what is in it always does. A damaged file system is a difference; what
 * cannot be read of it is compared as missing.
 *
 * Throws `DEVICE_*`, `VOLUME_DOUBTFUL` if it was not cleanly unmounted, `UNSUPPORTED` for an ext4 that is
 * not as ours are, `TOOL_*`, `CANCELLED`.
 */
export async function checkVolume(options: CheckOptions): Promise<CheckResult> {
  const { signal, progress = silentProgress } = options;
  const volume = await OpenVolume.open({ device: options.device, write: false, signal });
  const { device } = volume;
  try {
    const { wanted } = options;
    const content: WantedContent = typeof wanted === 'function' ? await wanted(volume) : { entries: wanted };
    const { entries, area, names } = content;
    const differences = area === undefined ? [] : await compareArea(volume, area);
    if (
      names !== undefined &&
      volume.content.kind === 'ours' &&
      volume.content.superblock.uuid !== names.uuid
    )
      differences.push({ path: FILE_SYSTEM, what: 'uuid' });
    for (const difference of await readAndCompare(device, entries, progress, signal))
      differences.push(difference);
    if (options.fsck !== false) {
      const found = await runFsck(device.path, progress, signal);
      if (found !== undefined) differences.push({ path: FILE_SYSTEM, what: 'e2fsck', detail: found });
    }
    return { identical: differences.length === 0, differences };
  } catch (error) {
    throw nameDevice(error, device.path);
  } finally {
    await volume.close();
  }
}

/** What `e2fsck -fn`, which changes nothing, says of a volume that is not sound. */
async function runFsck(
  device: string,
  progress: ProgressSink,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const step = progress.step('Running e2fsck');
  try {
    const { status, output } = await runTool('e2fsck', ['-fn', device], signal);
    if (status < FSCK_OPERATIONAL_ERROR) return status === 0 ? undefined : output;
    const message = `e2fsck could not look at ${device} (exit status ${String(status)}): ${output}`;
    throw new ImageUnpackerError('TOOL_FAILED', message, { device });
  } finally {
    step.end();
  }
}

async function readAndCompare(
  device: BlockDevice,
  wanted: Entries,
  progress: ProgressSink,
  signal: AbortSignal | undefined,
): Promise<Difference[]> {
  const faults: { what: string; inode: number | undefined }[] = [];
  const report: Report = (what, inode) => {
    faults.push({ what, inode });
  };
  let tree: Ext4Tree | undefined;
  try {
    const volume = await openVolume(deviceReader(device), report, signal);
    tree = await readTree(volume, progress);
  } catch (error) {
    reportDamage(report, undefined, error);
  }
  const differences = tree === undefined ? [] : await compareTrees(tree.entries, wanted, signal);
  const damage = faults.map(({ what, inode }): Difference => {
    const path = inode === undefined ? undefined : tree?.pathOf(inode);
    if (path !== undefined) return { path: displayPath(path), what: 'damaged', detail: what };
    const about = inode === undefined ? what : `inode ${String(inode)}: ${what}`;
    return { path: FILE_SYSTEM, what: 'damaged', detail: about };
  });
  return [...damage, ...differences];
}

async function compareTrees(
  actual: Iterable<Entry>,
  wanted: Entries,
  signal: AbortSignal | undefined,
): Promise<Difference[]> {
  const differences: Difference[] = [];
  const left = actual[Symbol.iterator]();
  let has = left.next();
  const extraUpTo = (path: Buffer | undefined): void => {
    while (has.done !== true && (path === undefined || comparePaths(has.value.path, path) < 0)) {
      if (!isLostAndFound(has.value)) differences.push({ path: displayPath(has.value.path), what: 'extra' });
      has = left.next();
    }
  };
  for await (const entry of wanted) {
    throwIfAborted(signal);
    extraUpTo(entry.path);
    if (has.done !== true && has.value.path.equals(entry.path)) {
      for (const difference of compareEntries(has.value, entry)) differences.push(difference);
      has = left.next();
    } else {
      differences.push({ path: displayPath(entry.path), what: 'missing' });
    }
  }
  extraUpTo(undefined);
  return differences;
}

function isLostAndFound(entry: Entry): boolean {
  return entry.type === 'directory' && entry.path.equals(LOST_AND_FOUND);
}
