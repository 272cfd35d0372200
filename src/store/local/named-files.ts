import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { link, lstat, mkdir, open, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import { syncDirectory } from '../durable.js';
import { isImageName } from '../record.js';
import { LEAF_MARK, namedPath } from './layout.js';
import type { Session } from './session.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
/** How often a stream's directory may vanish under our hands, when others delete what is in it. */
const LINK_ATTEMPTS = 100;

let temporaries = 0;

/**
 * Small files that are called as images are, in the directory `top` of a store: streams as directories, "@" and the leaf.
 */
export class NamedFiles {
  readonly #location: string;
  readonly #top: string;
  readonly #maxBytes: number;

  constructor(location: string, top: string, maxBytes: number) {
    this.#location = location;
    this.#top = top;
    this.#maxBytes = maxBytes;
  }

  /** Where the file of that name lies. Throws `IMAGE_NAME`. */
  pathOf(name: string): string {
    return join(this.#location, namedPath(this.#top, name));
  }

  /** The file's bytes; undefined if there is none. Throws `STORE_DAMAGED` at what can be none of ours. */
  async read(name: string): Promise<Buffer | undefined> {
    const path = this.pathOf(name);
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
      if (!found.isFile() || found.size > this.#maxBytes) throw damaged(path, 'it is none of a store');
      return await file.readFile();
    } catch (reason) {
      throw this.#failed(reason, 'read');
    } finally {
      await file.close();
    }
  }

  /** Whether there is anything of that name, be it good or not. */
  async has(name: string): Promise<boolean> {
    try {
      await lstat(this.pathOf(name));
      return true;
    } catch (reason) {
      if (isMissing(reason)) return false;
      throw this.#failed(reason, 'read');
    }
  }

  /** All names, or those of one stream, sorted. Throws `STORE_DAMAGED` at a file that is none of ours. */
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

  /** Makes a file, durably. Throws the system's EEXIST if there is one. */
  async create(session: Session, name: string, bytes: Buffer): Promise<void> {
    const path = this.pathOf(name);
    await this.#write(session, bytes, async temporary => {
      await inDirectory(path, () => link(temporary, path));
    });
    try {
      await this.#syncUpwards(dirname(path));
    } catch (reason) {
      // What may not last must not be seen.
      await rm(path, { force: true });
      throw reason;
    }
  }

  /** Makes a file, or replaces the one that is there, durably. */
  async replace(session: Session, name: string, bytes: Buffer): Promise<void> {
    const path = this.pathOf(name);
    await this.#write(session, bytes, async temporary => {
      await inDirectory(path, () => rename(temporary, path));
    });
    await this.#syncUpwards(dirname(path));
  }

  /** Deletes a file, durably, and the directories of its stream that are empty then; resolves to whether it was there. */
  async remove(name: string): Promise<boolean> {
    const path = this.pathOf(name);
    try {
      await unlink(path);
    } catch (reason) {
      if (isMissing(reason)) return false;
      throw reason;
    }
    await syncDirectory(dirname(path));
    await this.#removeEmpty(dirname(path));
    return true;
  }

  async #write(session: Session, bytes: Buffer, publish: (temporary: string) => Promise<void>) {
    const temporary = join(session.path, `named-${String(temporaries++)}`);
    try {
      const file = await open(temporary, CREATE, 0o644);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await publish(temporary);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #listDirectory(within: string) {
    try {
      return await readdir(join(this.#location, this.#top, within), { withFileTypes: true });
    } catch (reason) {
      if (isMissing(reason)) return [];
      throw this.#failed(reason, 'list the images of');
    }
  }

  #nameOf(stream: string, file: string): string {
    const name = `${stream}/${file.slice(LEAF_MARK.length)}`;
    if (file.startsWith(LEAF_MARK) && isImageName(name)) return name;
    throw damaged(join(this.#location, this.#top, stream, file), 'it does not belong in a store');
  }

  async #syncUpwards(directory: string): Promise<void> {
    for (let at = directory; at !== this.#location; at = dirname(at)) await syncDirectory(at);
    await syncDirectory(this.#location);
  }

  async #removeEmpty(directory: string): Promise<void> {
    const top = join(this.#location, this.#top);
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

  #failed(reason: unknown, doing: string): ImageUnpackerError {
    return ImageUnpackerError.from(reason, `Cannot ${doing} the store ${this.#location}`, {
      path: this.#location,
    });
  }
}

/** Does something in the directory of `path`, which is made; whoever deletes images may remove it meanwhile. */
async function inDirectory(path: string, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await mkdir(dirname(path), { recursive: true });
    try {
      await work();
      return;
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === LINK_ATTEMPTS) throw reason;
    }
  }
}

function isMissing(reason: unknown): boolean {
  const { code } = reason as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function damaged(path: string, why: string): ImageUnpackerError {
  return new ImageUnpackerError('STORE_DAMAGED', `${path} is damaged: ${why}`, { path });
}
