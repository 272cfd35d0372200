import type { FileHandle } from 'node:fs/promises';
import { lstat, rename, rm } from 'node:fs/promises';
import { diskDigest } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import { syncDirectory } from '../../store/durable.js';
import type {
  CloudCallOptions,
  CloudTarget,
  CreatedDisk,
  DiskRequest,
  ImageFault,
  PublishedImage,
  Tags,
  UnfinishedDisk,
} from '../cloud.js';
import { TAG } from '../cloud.js';
import { DISK_FORMATS } from './disk-format.js';
import type { DiskFormatName } from './layout.js';
import { diskPath, idOf, isImageId, partialPath } from './layout.js';
import { readDiskFile } from './read-disk.js';
import type { DiskRecord } from './record.js';
import { Registry } from './registry.js';
import { writeDiskFile } from './write-disk.js';

/** How a directory is opened as a target. */
export interface LocalTargetOptions {
  /** What disks are written as; those that are there may be of another format. */
  readonly format: DiskFormatName;
  /** Whether anything is to be changed: the directory is made if need be, and nobody else may change it. */
  readonly write: boolean;
  readonly now?: () => Date;
}

/** A directory of disk images. */
export class LocalTarget implements CloudTarget {
  readonly #directory: string;
  readonly #format: DiskFormatName;
  readonly #registry: Registry;
  readonly #lock: FileHandle | undefined;
  readonly #now: () => Date;

  private constructor(directory: string, options: LocalTargetOptions, registry: Registry, lock?: FileHandle) {
    this.#directory = directory;
    this.#format = options.format;
    this.#now = options.now ?? (() => new Date());
    this.#registry = registry;
    this.#lock = lock;
  }

  /**
   * Opens a directory. One that does not exist has no images; it is made when it is opened to be changed. Throws
   * `TARGET_BUSY` when another publisher is at work on it, `NO_PERMISSION`, `NO_SPACE`, `CONFIGURATION`.
   */
  static async open(directory: string, options: LocalTargetOptions): Promise<LocalTarget> {
    const registry = new Registry(directory);
    const lock = options.write ? await registry.lock() : undefined;
    return new LocalTarget(directory, options, registry, lock);
  }

  async images(tags: Tags = {}, { signal }: CloudCallOptions = {}): Promise<PublishedImage[]> {
    const images: PublishedImage[] = [];
    for (const record of await this.#registry.list()) {
      throwIfAborted(signal);
      const fits = Object.entries(tags).every(([key, value]) => record.tags[key] === value);
      if (record.state === 'image' && fits) images.push(await this.#describe(record));
    }
    return images;
  }

  async parent(
    stream: string,
    size?: bigint,
    options?: CloudCallOptions,
  ): Promise<PublishedImage | undefined> {
    return (await this.images({ [TAG.stream]: stream }, options)).findLast(
      image =>
        image.fault === undefined &&
        (size === undefined || image.diskSize === size) &&
        image.path === diskPath(this.#directory, image.id, this.#format),
    );
  }

  async map(imageId: string): Promise<DiskMap> {
    return this.#registry.map(await this.#require(imageId));
  }

  async createDisk(request: DiskRequest, options: CloudCallOptions = {}): Promise<CreatedDisk> {
    const { token, content, tags, boot } = request;
    const id = idOf(token);
    const found = await this.#registry.read(id);
    const digest = diskDigest(content.map).toString('hex');
    if (found?.diskDigest === digest && (await this.#isGood(found))) {
      return { id, blocksSent: 0, parentId: found.parentId ?? undefined };
    }
    const parent = await this.#usableParent(request);
    const record: DiskRecord = {
      id,
      state: 'writing',
      diskFormat: this.#format,
      createdAt: this.#now().toISOString(),
      diskSize: content.map.size,
      diskDigest: digest,
      parentId: parent?.id ?? null,
      modified: null,
      tags,
      ...(boot === undefined ? {} : { boot }),
    };
    try {
      await this.#registry.write(record);
      const blocksSent = await this.#writeDisk(record, request, parent?.path, options);
      return { id, blocksSent, parentId: parent?.id };
    } catch (reason) {
      // A full disk is of no use to anybody; what can not be removed now is found again later.
      await this.removeDisk(id).catch(() => undefined);
      throw this.#registry.failed(reason, 'publish to');
    }
  }

  async register(diskId: string, tags: Tags): Promise<PublishedImage> {
    const record = await this.#require(diskId);
    if (record.state === 'image') return this.#describe(record);
    if (record.state !== 'disk') throw unknown(diskId, this.#directory);
    const image: DiskRecord = { ...record, state: 'image', createdAt: this.#now().toISOString(), tags };
    await this.#registry.write(image);
    return this.#describe(image);
  }

  async readBack(imageId: string, options: CloudCallOptions = {}): Promise<DiskMap> {
    const { id, diskFormat: format, diskSize } = await this.#require(imageId);
    return readDiskFile(diskPath(this.#directory, id, format), DISK_FORMATS[format], diskSize, options);
  }

  async setTags(imageId: string, set: Tags, remove: readonly string[]): Promise<PublishedImage> {
    const record = await this.#require(imageId);
    const kept = Object.entries(record.tags).filter(([key]) => !remove.includes(key));
    const changed: DiskRecord = { ...record, tags: { ...Object.fromEntries(kept), ...set } };
    await this.#registry.write(changed);
    return this.#describe(changed);
  }

  async remove(imageId: string): Promise<void> {
    await this.#remove(imageId);
  }

  async unfinished(): Promise<UnfinishedDisk[]> {
    // Nobody else is at work here: the directory is locked.
    const left = (await this.#registry.list()).filter(({ state }) => state !== 'image');
    return left.map(({ id, tags }) => ({ id, tags }));
  }

  async removeDisk(diskId: string): Promise<void> {
    if ((await this.#registry.read(diskId))?.state !== 'image') await this.#remove(diskId);
  }

  async close(): Promise<void> {
    await this.#lock?.close();
  }

  /** The file of the parent, if it is still what it was and fits. */
  async #usableParent({ parent, content }: DiskRequest) {
    if (parent === undefined || parent.map.size !== content.map.size) return undefined;
    const record = await this.#registry.read(parent.image.id);
    if (record?.state !== 'image' || record.diskFormat !== this.#format) return undefined;
    const { fault, path, id } = await this.#describe(record);
    return fault === undefined && path !== undefined ? { id, path } : undefined;
  }

  /** Writes the disk of a record, and says durably that it is whole. */
  async #writeDisk(
    record: DiskRecord,
    { content, parent }: DiskRequest,
    parentPath: string | undefined,
    options: CloudCallOptions,
  ): Promise<number> {
    const { id, diskFormat: format } = record;
    const path = partialPath(this.#directory, id, format);
    await this.#registry.writeMap(id, content.map);
    const from = parentPath === undefined ? undefined : { path: parentPath, map: parent!.map };
    const request = { path, format: DISK_FORMATS[format], content, parent: from };
    const { modified, blocksSent } = await writeDiskFile(request, options);
    throwIfAborted(options.signal);
    await rename(path, diskPath(this.#directory, id, format));
    await syncDirectory(this.#directory);
    await this.#registry.write({ ...record, state: 'disk', modified });
    return blocksSent;
  }

  async #remove(id: string): Promise<void> {
    const record = await this.#registry.read(id);
    if (record === undefined) return;
    const { diskFormat: format, state } = record;
    if (state !== 'writing') await this.#hide(record);
    try {
      await rm(partialPath(this.#directory, id, format), { force: true });
      await rm(diskPath(this.#directory, id, format), { force: true });
      await syncDirectory(this.#directory);
    } catch (reason) {
      throw this.#registry.failed(reason, 'remove a disk of');
    }
    await this.#registry.remove(id);
  }

  /** Says durably that a disk is being removed. */
  async #hide(record: DiskRecord): Promise<void> {
    try {
      await this.#registry.write({ ...record, state: 'removing' });
    } catch (reason) {
      // Where there is no room for that either, its removal makes some.
      if (!(reason instanceof ImageUnpackerError) || reason.code !== 'NO_SPACE') throw reason;
    }
  }

  async #isGood(record: DiskRecord): Promise<boolean> {
    return isWhole(record) && (await this.#describe(record)).fault === undefined;
  }

  /** The record of an image or a disk that is there. */
  async #require(id: string): Promise<DiskRecord> {
    const record = isImageId(id) ? await this.#registry.read(id) : undefined;
    if (record === undefined || !isWhole(record)) throw unknown(id, this.#directory);
    return record;
  }

  async #describe(record: DiskRecord): Promise<PublishedImage> {
    const { id, diskFormat: format, diskSize, createdAt, tags, boot } = record;
    const path = diskPath(this.#directory, id, format);
    const fault = await this.#faultOf(record, path);
    return {
      id,
      diskId: id,
      diskSize,
      createdAt,
      tags,
      path,
      fault,
      ...(boot === undefined ? {} : { boot }),
    };
  }

  async #faultOf(
    { modified, diskFormat: format, diskSize }: DiskRecord,
    path: string,
  ): Promise<ImageFault | undefined> {
    const changed = (what: string): ImageFault => ({ gone: false, message: `${path} ${what}` });
    try {
      const found = await lstat(path, { bigint: true });
      if (!found.isFile()) return changed('is no file');
      const size = BigInt(DISK_FORMATS[format].fileSize(diskSize));
      if (found.size !== size) return changed(`has ${String(found.size)} bytes, not ${String(size)}`);
      return found.mtimeNs === modified ? undefined : changed('has been written to since it was published');
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') throw this.#registry.failed(reason, 'read');
      return { gone: true, message: `${path} is gone` };
    }
  }
}

function isWhole({ state }: DiskRecord): boolean {
  return state === 'disk' || state === 'image';
}

function unknown(id: string, directory: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_UNKNOWN', `There is no image ${id} in ${directory}`, {
    image: id,
    path: directory,
  });
}
