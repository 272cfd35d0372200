import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isHexDigest } from '../../image/digest.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import {
  checkImageDigest,
  fromStoredMap,
  isMapName,
  MAX_DISK_MAP_BYTES,
  toStoredMap,
} from '../disk-map-form.js';
import { syncDirectory } from '../durable.js';
import { DISK_MAPS } from './layout.js';
import type { Session } from './session.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

let temporaries = 0;

/** The maps of disks that were made of the images in a store that is a directory. */
export class LocalDiskMaps {
  readonly #location: string;

  constructor(location: string) {
    this.#location = location;
  }

  /** The map of a disk; undefined if none is kept. Throws `STORE_DAMAGED`. */
  async read(imageDigest: string, diskDigest: Buffer): Promise<DiskMap | undefined> {
    checkImageDigest(imageDigest);
    const name = diskDigest.toString('hex');
    const path = join(this.#location, DISK_MAPS, imageDigest, name);
    const bytes = await this.#readFile(path);
    return bytes === undefined ? undefined : fromStoredMap(bytes, name, path);
  }

  /** The digests of the disks whose maps are kept, sorted. */
  async list(imageDigest: string): Promise<Buffer[]> {
    checkImageDigest(imageDigest);
    const names = await this.#names(imageDigest);
    return names
      .filter(isMapName)
      .sort()
      .map(name => Buffer.from(name, 'hex'));
  }

  /** Keeps a map, durably. One that is there and good is left alone. */
  async keep(session: Session, imageDigest: string, map: DiskMap): Promise<void> {
    checkImageDigest(imageDigest);
    const { name, bytes } = toStoredMap(map);
    const path = join(this.#location, DISK_MAPS, imageDigest, name);
    try {
      // The name may be there, and not yet durable.
      if ((await this.#readFile(path))?.equals(bytes) !== true) await this.#write(session, path, bytes);
      for (const directory of [dirname(path), join(this.#location, DISK_MAPS), this.#location]) {
        await syncDirectory(directory);
      }
    } catch (reason) {
      throw this.#failed(reason, 'keep a disk map in');
    }
  }

  /** The digests of the images of which maps are kept. */
  async imageDigests(): Promise<string[]> {
    return (await this.#names('')).filter(isHexDigest);
  }

  /** Deletes all maps of an image. */
  async removeAll(imageDigest: string): Promise<void> {
    checkImageDigest(imageDigest);
    const path = join(this.#location, DISK_MAPS, imageDigest);
    try {
      await rm(path, { recursive: true, force: true });
    } catch (reason) {
      throw this.#failed(reason, 'delete a disk map of');
    }
  }

  async #write(session: Session, path: string, bytes: Buffer): Promise<void> {
    const temporary = join(session.path, `map-${String(temporaries++)}`);
    await mkdir(dirname(path), { recursive: true });
    try {
      const file = await open(temporary, CREATE, 0o644);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (reason) {
      await rm(temporary, { force: true });
      throw reason;
    }
  }

  async #readFile(path: string): Promise<Buffer | undefined> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, READ);
      const found = await file.stat();
      // What is no map is read as one that is damaged.
      return found.isFile() && found.size <= MAX_DISK_MAP_BYTES ? await file.readFile() : Buffer.alloc(0);
    } catch (reason) {
      const { code } = reason as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      if (code === 'ELOOP' || code === 'ENXIO') return Buffer.alloc(0);
      throw this.#failed(reason, 'read a disk map of');
    } finally {
      await file?.close();
    }
  }

  async #names(imageDigest: string): Promise<string[]> {
    try {
      return await readdir(join(this.#location, DISK_MAPS, imageDigest));
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw this.#failed(reason, 'list the disk maps of');
    }
  }

  #failed(reason: unknown, doing: string): ImageUnpackerError {
    const path = this.#location;
    return ImageUnpackerError.from(reason, `Cannot ${doing} the store ${path}`, { path });
  }
}
