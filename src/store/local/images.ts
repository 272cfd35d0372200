import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { link, lstat, mkdir, open, readdir, rm, rmdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import { parseImageName } from '../../image/name.js';
import { nearest } from '../../image/nearest.js';
import { decodeRecord, encodeRecord, isImageName, MAX_RECORD_BYTES } from '../record.js';
import type { ImageRecord } from '../store.js';
import { IMAGES, LEAF_MARK, recordPath } from './layout.js';
import { syncDirectory } from '../durable.js';
import type { Session } from './session.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
/** How often a stream's directory may vanish under our hands, when others delete its images. */
const LINK_ATTEMPTS = 100;

/** The records of the images in a store that is a directory. */
export class LocalImages {
  readonly #location: string;

  constructor(location: string) {
    this.#location = location;
  }

  /** The record of that image. Throws `IMAGE_UNKNOWN` naming the nearest one, `STORE_DAMAGED`. */
  async read(name: string): Promise<ImageRecord> {
    const path = join(this.#location, recordPath(name));
    const text = await this.#readFile(path);
    if (text === undefined) throw await this.#unknown(name);
    try {
      const record = decodeRecord(text, path);
      if (record.name === name) return record;
      throw damaged(path, `it is the record of ${record.name}`);
    } catch (reason) {
      const { message, subject } = ImageUnpackerError.from(reason, `Cannot read ${path}`);
      const advice = `${message}; delete the image ${name}, and build it again`;
      throw new ImageUnpackerError('STORE_DAMAGED', advice, { ...subject, image: name }, reason);
    }
  }

  /** Whether there is such an image, be its record good or not. */
  async has(name: string): Promise<boolean> {
    try {
      await lstat(join(this.#location, recordPath(name)));
      return true;
    } catch (reason) {
      if (isMissing(reason)) return false;
      throw this.#failed(reason, 'read');
    }
  }

  /** The names of all images, or of one stream's. Throws `STORE_DAMAGED` at a file that is none. */
  async names(stream?: string): Promise<string[]> {
    const names: string[] = [];
    for (const waiting = [stream ?? '']; waiting.length > 0;) {
      const within = waiting.pop()!;
      for (const entry of await this.#listDirectory(within)) {
        const path = within === '' ? entry.name : `${within}/${entry.name}`;
        if (entry.isDirectory() && !entry.name.startsWith(LEAF_MARK)) {
          if (stream === undefined) waiting.push(path);
        } else {
          names.push(this.#nameOf(within, entry.name));
        }
      }
    }
    return names.sort();
  }

  /** The records of all images, or of one stream's, oldest first. */
  async list(stream?: string): Promise<ImageRecord[]> {
    const records: ImageRecord[] = [];
    for (const name of await this.names(stream)) records.push(await this.read(name));
    return records.sort((a, b) => compareText(a.createdAt, b.createdAt) || compareText(a.name, b.name));
  }

  /** Makes an image known, durably. Throws `IMAGE_EXISTS`. */
  async create(session: Session, record: ImageRecord): Promise<void> {
    const path = join(this.#location, recordPath(record.name));
    const temporary = join(session.path, 'record');
    try {
      await writeDurably(temporary, encodeRecord(record));
      await linkInto(temporary, path);
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code === 'EEXIST') throw this.exists(record.name);
      throw this.#failed(reason, 'add an image to');
    }
    try {
      await this.#syncUpwards(dirname(path));
    } catch (reason) {
      // What may not last must not be seen.
      await rm(path, { force: true });
      throw this.#failed(reason, 'add an image to');
    }
  }

  /** Forgets an image, durably. Throws `IMAGE_UNKNOWN`. */
  async remove(name: string): Promise<void> {
    const path = join(this.#location, recordPath(name));
    try {
      await unlink(path);
      await syncDirectory(dirname(path));
      await this.#removeEmpty(dirname(path));
    } catch (reason) {
      if (isMissing(reason)) throw await this.#unknown(name);
      throw this.#failed(reason, 'delete an image of');
    }
  }

  /** The error for a name that is taken. */
  exists(name: string): ImageUnpackerError {
    const message = `The image ${name} exists already in the store ${this.#location}; choose another name, or delete it`;
    return new ImageUnpackerError('IMAGE_EXISTS', message, { image: name });
  }

  async #readFile(path: string): Promise<Buffer | undefined> {
    let file: FileHandle;
    try {
      file = await open(path, READ);
    } catch (reason) {
      if (isMissing(reason)) return undefined;
      if ((reason as NodeJS.ErrnoException).code === 'ELOOP') throw damaged(path, 'it is a symbolic link');
      throw this.#failed(reason, 'read');
    }
    try {
      const found = await file.stat();
      if (!found.isFile() || found.size > MAX_RECORD_BYTES)
        throw damaged(path, 'it is no record of an image');
      return await file.readFile();
    } catch (reason) {
      throw this.#failed(reason, 'read');
    } finally {
      await file.close();
    }
  }

  async #listDirectory(within: string) {
    try {
      return await readdir(join(this.#location, IMAGES, within), { withFileTypes: true });
    } catch (reason) {
      if (isMissing(reason)) return [];
      throw this.#failed(reason, 'list the images of');
    }
  }

  #nameOf(stream: string, file: string): string {
    const name = `${stream}/${file.slice(LEAF_MARK.length)}`;
    if (file.startsWith(LEAF_MARK) && isImageName(name)) return name;
    throw damaged(join(this.#location, IMAGES, stream, file), 'it does not belong in a store');
  }

  async #syncUpwards(directory: string): Promise<void> {
    const top = join(this.#location, IMAGES);
    for (let at = directory; at.startsWith(top); at = dirname(at)) await syncDirectory(at);
  }

  /** Removes the directories of a stream that has no image left. */
  async #removeEmpty(directory: string): Promise<void> {
    const top = join(this.#location, IMAGES);
    for (let at = directory; at !== top; at = dirname(at)) {
      try {
        await rmdir(at);
      } catch (reason) {
        const { code } = reason as NodeJS.ErrnoException;
        if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOENT') return;
        throw reason;
      }
    }
  }

  async #unknown(name: string): Promise<ImageUnpackerError> {
    const { stream, leaf } = parseImageName(name);
    const siblings = (await this.names(stream)).map(each => parseImageName(each).leaf);
    const sibling = nearest(leaf, siblings) ?? siblings.at(-1);
    const near = sibling === undefined ? nearest(name, await this.names()) : `${stream}/${sibling}`;
    const hint = near === undefined ? "'imagetool list' shows what there is" : `did you mean ${near}?`;
    const message = `The store ${this.#location} has no image ${name}; ${hint}`;
    return new ImageUnpackerError('IMAGE_UNKNOWN', message, { image: name });
  }

  #failed(reason: unknown, doing: string): ImageUnpackerError {
    return ImageUnpackerError.from(reason, `Cannot ${doing} the store ${this.#location}`, {
      path: this.#location,
    });
  }
}

async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  await rm(path, { force: true });
  const file = await open(path, CREATE, 0o644);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Gives the file its name, which must be new. Whoever deletes images may remove the directory meanwhile. */
async function linkInto(file: string, path: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await mkdir(dirname(path), { recursive: true });
    try {
      await link(file, path);
      return;
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === LINK_ATTEMPTS) throw reason;
    }
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isMissing(reason: unknown): boolean {
  const { code } = reason as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function damaged(path: string, why: string): ImageUnpackerError {
  return new ImageUnpackerError('STORE_DAMAGED', `${path} is damaged: ${why}`, { path });
}
