import { readFile } from 'node:fs/promises';
import {
  changedBlocks,
  decodeDiskMap,
  diskBlocks,
  diskDigest,
  encodeDiskMap,
  usedBlocks,
  type DiskMap,
} from '../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { ProgressSink } from '../image/progress.js';
import { CleanDisk } from './capture/clean-disk.js';
import { OutputFile } from './capture/output-file.js';
import type { BlockDevice } from './device.js';
import { nameDevice } from './ext4/device-reader.js';
import { OpenVolume } from './open-volume.js';
import type { CleanVolume } from './require-clean.js';

/** What is captured, and where to. */
export interface CaptureOptions {
  device: string;
  /** The file that becomes the disk; one that is there is replaced. */
  out: string;
  /** The file that becomes the disk map. */
  map?: string | undefined;
  /** The disk map of an earlier capture, to count the blocks that have changed since. */
  parentMap?: string | undefined;
  /** Throws unless the volume may be captured whose file system is on the opened device; else what is known of it. */
  guard: (device: BlockDevice) => Promise<Partial<CleanVolume>>;
  signal?: AbortSignal | undefined;
  progress?: ProgressSink | undefined;
}

export interface CaptureResult {
  /** The digest of the disk, in hex. */
  digest: string;
  /** Of the disk, in bytes. */
  size: number;
  /** Blocks of 512 KiB of the disk. */
  blocks: number;
  /** Those of them that are not all zeros. */
  usedBlocks: number;
  /** Those that differ from the parent's; without a parent, those that are used. */
  changedBlocks: number;
}

/**
 * Writes the disk behind `device`, an ext4 file system as a whole or a disk with partitions, as a sparse file of
 * exactly its size that holds what is in use and nothing else: free blocks, unused inodes, the body of the
 * journal and all slack are zeros. The device must not be mounted and is held for the time, from before
 * `guard` says that the volume may be captured until the end. The files become visible, durably, when all
 * of them are complete, else nothing of them is left.
 *
 * Throws `DEVICE_*`, `VOLUME_DAMAGED`, `VOLUME_DOUBTFUL`, `UNSUPPORTED`, `OUTPUT`, `NO_SPACE`, `USAGE` for a
 * parent map that cannot be read, `STORE_DAMAGED` for one that is damaged, `CANCELLED`.
 */
export async function captureVolume(options: CaptureOptions): Promise<CaptureResult> {
  const parent = options.parentMap === undefined ? undefined : await readParentMap(options.parentMap);
  const { signal } = options;
  const volume = await OpenVolume.open({ device: options.device, write: false, signal });
  try {
    const known = await options.guard(volume.device);
    return await capture(await CleanDisk.open(volume, known.disk, signal), options, parent);
  } catch (error) {
    throw nameDevice(error, options.device);
  } finally {
    await volume.close();
  }
}

async function capture(
  disk: CleanDisk,
  options: CaptureOptions,
  parent: DiskMap | undefined,
): Promise<CaptureResult> {
  const files: OutputFile[] = [];
  const create = async (path: string): Promise<OutputFile> => {
    const file = await OutputFile.create(path);
    files.push(file);
    return file;
  };
  try {
    const mapFile = options.map === undefined ? undefined : await create(options.map);
    const output = await create(options.out);
    const map = await disk.copy(output, options);
    await mapFile?.write(encodeDiskMap(map), 0);
    for (const file of files) await file.settle();
    throwIfAborted(options.signal);
    for (const file of files) await file.publish();
    return describe(map, parent);
  } finally {
    for (const file of files) await file.discard();
  }
}

function describe(map: DiskMap, parent: DiskMap | undefined): CaptureResult {
  const used = usedBlocks(map);
  return {
    digest: diskDigest(map).toString('hex'),
    size: Number(map.size),
    blocks: diskBlocks(map.size),
    usedBlocks: used,
    changedBlocks: parent === undefined ? used : changedBlocks(map, parent).length,
  };
}

async function readParentMap(path: string): Promise<DiskMap> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const message = `Cannot read the parent map ${path}: ${(error as Error).message}`;
    throw new ImageUnpackerError('USAGE', message, { path }, error);
  }
  return decodeDiskMap(bytes);
}
