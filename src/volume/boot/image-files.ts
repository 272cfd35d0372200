import type { Entry, FileEntry, InodeEntry } from '../../image/entry.js';
import { dataSizeOf } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { baseName, comparePaths, displayPath, isBelow, joinPath, parentPath } from '../../image/path.js';
import type { ManifestReader } from '../../store/manifest-reader.js';
import type { Store } from '../../store/store.js';

/** Links that lead to links, as many as the kernel follows. */
const MAX_LINKS = 40;
/** Sorts behind all that lies below a directory and before its next neighbour: `/` sorts before every byte. */
const BEHIND = Buffer.from([1]);

/** Something of an image, where it really is. */
export interface FoundFile<T extends InodeEntry = InodeEntry> {
  path: Buffer;
  entry: T;
}

/**
 * The files of an image, read from its manifest and the store. Symbolic links are followed within the image: its
 * root is what `/` means, and nothing lies above it.
 */
export class ImageFiles {
  readonly #manifest: ManifestReader;
  readonly #store: Store;
  readonly #pages = new Map<number, Promise<Entry[]>>();

  constructor(manifest: ManifestReader, store: Store) {
    this.#manifest = manifest;
    this.#store = store;
  }

  /** The entry at a path, itself and not what it leads to. */
  async entry(path: Buffer | string): Promise<Entry | undefined> {
    const wanted = bytesOf(path);
    const found = await this.#from(wanted);
    return found?.path.equals(wanted) === true ? found : undefined;
  }

  /** What a path leads to, all links followed; undefined when that is nothing. */
  async find(path: Buffer | string): Promise<FoundFile | undefined> {
    let links = 0;
    const waiting = namesOf(bytesOf(path));
    let at: FoundFile = { path: Buffer.alloc(0), entry: (await this.#from(Buffer.alloc(0))) as InodeEntry };
    for (let name; (name = waiting.shift()) !== undefined;) {
      if (name.equals(Buffer.from('..'))) {
        const parent = parentPath(at.path);
        at = { path: parent, entry: (await this.entry(parent)) as InodeEntry };
        continue;
      }
      const next = joinPath(at.path, name);
      const entry = await this.#inode(next);
      if (entry === undefined) return undefined;
      if (entry.type !== 'symlink') {
        at = { path: next, entry };
        continue;
      }
      if (++links > MAX_LINKS) return undefined;
      waiting.unshift(...namesOf(entry.target));
      if (entry.target[0] === 0x2f)
        at = { path: Buffer.alloc(0), entry: (await this.entry('')) as InodeEntry };
    }
    return at;
  }

  /** The regular file that a path leads to. */
  async file(path: Buffer | string): Promise<FoundFile<FileEntry> | undefined> {
    const found = await this.find(path);
    return found?.entry.type === 'file' ? { path: found.path, entry: found.entry } : undefined;
  }

  /** The names in the directory that a path leads to, in order; none when there is no such directory. */
  async names(path: Buffer | string): Promise<Buffer[]> {
    const directory = await this.find(path);
    if (directory?.entry.type !== 'directory') return [];
    const names: Buffer[] = [];
    let next = Buffer.concat([directory.path, directory.path.length === 0 ? BEHIND : Buffer.from('/\x01')]);
    // No name of one byte 01 can come before this, and if there is one, it is of no interest.
    for (let entry; (entry = await this.#from(next)) !== undefined && isBelow(entry.path, directory.path);) {
      names.push(baseName(entry.path));
      next = Buffer.concat([entry.path, BEHIND]);
    }
    return names;
  }

  /** The content of a file. Throws `IMAGE_UNSUPPORTED` when it is larger than `limit` or has holes. */
  async read({ path, entry }: FoundFile<FileEntry>, limit: number): Promise<Buffer> {
    if (entry.holes.length > 0 || entry.size > BigInt(limit)) {
      const shown = displayPath(path);
      const what = entry.holes.length > 0 ? 'has holes' : `is larger than ${String(limit)} bytes`;
      throw new ImageUnpackerError('IMAGE_UNSUPPORTED', `${shown} is needed to boot, but ${what}`, {
        path: shown,
      });
    }
    if (entry.digest === null) return Buffer.alloc(0);
    return this.#store.read(entry.digest, limit);
  }

  /** The text of the file that a path leads to; undefined when there is none. */
  async text(path: string, limit = 1 << 20): Promise<string | undefined> {
    const file = await this.file(path);
    return file === undefined ? undefined : (await this.read(file, limit)).toString('utf8');
  }

  /** The first entry that is not before `key`. */
  async #from(key: Buffer): Promise<Entry | undefined> {
    const number = this.#manifest.pageOf(key);
    const entries = await this.#page(number);
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comparePaths(entries[middle]!.path, key) < 0) low = middle + 1;
      else high = middle;
    }
    if (low < entries.length) return entries[low];
    return number + 1 < this.#manifest.index.pages.length ? (await this.#page(number + 1))[0] : undefined;
  }

  /** The inode of which a path is a name. */
  async #inode(path: Buffer): Promise<InodeEntry | undefined> {
    const entry = await this.entry(path);
    if (entry?.type !== 'link') return entry;
    const first = await this.entry(entry.target);
    return first?.type === 'link' ? undefined : first;
  }

  async #page(number: number): Promise<Entry[]> {
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = this.#manifest.entriesOf(number);
      this.#pages.set(number, page);
    }
    return page;
  }
}

/** How many bytes the data of a file has. */
export function bytesIn(entry: FileEntry): number {
  return Number(dataSizeOf(entry.size, entry.holes));
}

function bytesOf(path: Buffer | string): Buffer {
  return typeof path === 'string' ? Buffer.from(path.replace(/^\/+/, '')) : path;
}

/** The names that a path is made of, those that lead nowhere else left out. */
function namesOf(path: Buffer): Buffer[] {
  const names = path.toString('latin1').split('/');
  return names.filter(name => name !== '' && name !== '.').map(name => Buffer.from(name, 'latin1'));
}
