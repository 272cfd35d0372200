import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { decodeDiskMap, diskDigest, encodeDiskMap } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import { replaceDurably, syncDirectory } from '../../store/durable.js';
import { tryLock } from '../../store/lock.js';
import { makeDirectory } from '../../store/make-directory.js';
import { FORMAT_FILE, FORMAT_LINE, isImageId, LOCK_FILE, mapPath, recordPath, REGISTRY } from './layout.js';
import type { DiskRecord } from './record.js';
import { decodeRecord, encodeRecord } from './record.js';

const LOCK = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
const UNFINISHED_FILE = /^(?:format|local-[0-9a-f]{17}(?:\.map)?)\.new$/;

/** The records of the images that were published to a directory. */
export class Registry {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * Sees to it that the directory has a registry, and locks it until what it resolves to is closed. Throws
   * `TARGET_BUSY`, and `CONFIGURATION` when it is not a directory for us.
   */
  async lock(): Promise<FileHandle> {
    const { directory } = this;
    let file: FileHandle | undefined;
    try {
      await this.#make();
      file = await open(join(directory, LOCK_FILE), LOCK, 0o644);
      if (await tryLock(file.fd, 'exclusive')) {
        await this.#clear();
        return file;
      }
    } catch (reason) {
      await file?.close();
      throw this.failed(reason, 'publish to');
    }
    await file.close();
    const message = `Another publisher is at work on ${directory}; run this again when it is done`;
    throw new ImageUnpackerError('TARGET_BUSY', message, { path: directory });
  }

  /** All records, oldest first. None where there is no such directory yet. */
  async list(): Promise<DiskRecord[]> {
    const records: DiskRecord[] = [];
    for (const name of (await this.#names()).filter(isImageId)) {
      const record = await this.read(name);
      if (record !== undefined) records.push(record);
    }
    return records.sort((a, b) => compareText(a.createdAt, b.createdAt) || compareText(a.id, b.id));
  }

  /** The record of that id, if there is one. Throws `STATE_DAMAGED`. */
  async read(id: string): Promise<DiskRecord | undefined> {
    const path = recordPath(this.directory, id);
    const text = await this.#readFile(path);
    if (text === undefined) return undefined;
    const record = decodeRecord(text, path);
    if (record.id === id) return record;
    throw new ImageUnpackerError('STATE_DAMAGED', `${path} is damaged: it is of ${record.id}`, { path });
  }

  /** Replaces the record of its id, durably. */
  async write(record: DiskRecord): Promise<void> {
    await this.#change(() => replaceDurably(recordPath(this.directory, record.id), encodeRecord(record)));
  }

  /** What the disk of a record held when it was written. Throws `STATE_DAMAGED`. */
  async map(record: DiskRecord): Promise<DiskMap> {
    const path = mapPath(this.directory, record.id);
    const bytes = await this.#readFile(path);
    const map = bytes === undefined ? undefined : decodeDiskMap(bytes);
    if (map !== undefined && diskDigest(map).toString('hex') === record.diskDigest) return map;
    const why = map === undefined ? 'is missing' : 'is of another disk';
    throw new ImageUnpackerError('STATE_DAMAGED', `The disk map ${path} ${why}`, { path });
  }

  async writeMap(id: string, map: DiskMap): Promise<void> {
    await this.#change(() => replaceDurably(mapPath(this.directory, id), encodeDiskMap(map)));
  }

  /** Forgets a disk, durably. */
  async remove(id: string): Promise<void> {
    await this.#change(async () => {
      await rm(mapPath(this.directory, id), { force: true });
      await rm(recordPath(this.directory, id), { force: true });
      await syncDirectory(join(this.directory, REGISTRY));
    });
  }

  /** An error of the system, as one of ours. */
  failed(reason: unknown, doing: string): ImageUnpackerError {
    if ((reason as NodeJS.ErrnoException).code === 'ENOTDIR') {
      const message = `${this.directory} is not a directory; publish to one, or to one that does not exist yet`;
      return new ImageUnpackerError('CONFIGURATION', message, { path: this.directory }, reason);
    }
    return ImageUnpackerError.from(reason, `Cannot ${doing} ${this.directory}`, { path: this.directory });
  }

  async #make(): Promise<void> {
    const { directory } = this;
    if (await this.#exists()) return;
    await makeDirectory(join(directory, REGISTRY));
    await replaceDurably(join(directory, FORMAT_FILE), FORMAT_LINE);
    await syncDirectory(directory);
    await syncDirectory(dirname(directory));
  }

  /** Whether there is a registry of ours, and not only the beginning of one. */
  async #exists(): Promise<boolean> {
    const path = join(this.directory, FORMAT_FILE);
    const format = (await this.#readFile(path))?.toString('utf8');
    if (format === FORMAT_LINE) return true;
    const others = (await readNames(join(this.directory, REGISTRY))).filter(
      name => !UNFINISHED_FILE.test(name),
    );
    if (others.length === 0) return false;
    const what =
      format === undefined
        ? 'holds other things'
        : `is of a version that is not known here: ${JSON.stringify(format)}`;
    const message = `${join(this.directory, REGISTRY)} is no registry of images: it ${what}; publish to another directory`;
    throw new ImageUnpackerError('CONFIGURATION', message, { path: this.directory });
  }

  async #names(): Promise<string[]> {
    try {
      return (await this.#exists()) ? await readNames(join(this.directory, REGISTRY)) : [];
    } catch (reason) {
      throw this.failed(reason, 'read the registry of');
    }
  }

  /** Removes what a writer that was ended had not given its name. */
  async #clear(): Promise<void> {
    const registry = join(this.directory, REGISTRY);
    for (const name of await readNames(registry)) {
      if (UNFINISHED_FILE.test(name)) await rm(join(registry, name), { force: true });
    }
  }

  async #readFile(path: string): Promise<Buffer | undefined> {
    try {
      return await readFile(path, { flag: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK });
    } catch (reason) {
      if (isMissing(reason)) return undefined;
      throw this.failed(reason, 'read the registry of');
    }
  }

  async #change(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (reason) {
      throw this.failed(reason, 'write to the registry of');
    }
  }
}

async function readNames(path: string): Promise<string[]> {
  return readdir(path).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw reason;
  });
}

function isMissing(reason: unknown): boolean {
  return (reason as NodeJS.ErrnoException).code === 'ENOENT';
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
