import type { Entry, LinkableEntry } from './entry.js';
import { dataSizeOf } from './entry.js';
import { manifestFault, miscounted } from './manifest-fault.js';
import type { ManifestIndex } from './manifest.js';
import { dataBlocksOf } from './manifest.js';
import { displayPath, isBelow, parentPath } from './path.js';

/**
 * Checks that entries, given in the order of their paths, are a tree: the root is a directory, every
 * other entry lies in a directory that came before, and the names of each inode with several agree from
 * both sides. What is wrong is thrown as `IMAGE_INVALID`.
 */
export class TreeValidator {
  /** The directories from the root to the last entry. */
  readonly #directories: Buffer[] = [];
  /** Names that were announced by an inode's entry and have not come yet, with where that entry is. */
  readonly #announced = new Map<string, Buffer>();
  #entries = 0;
  #bytes = 0n;
  #blocks = 0n;

  add(entry: Entry): void {
    this.#checkParent(entry);
    if (entry.type === 'directory') this.#directories.push(entry.path);
    else if (entry.type === 'link') this.#checkLink(entry.path, entry.target);
    else this.#announce(entry);
    this.#entries++;
    if (entry.type === 'file') this.#bytes += entry.size;
    this.#blocks += dataBlocksOf(entry);
  }

  /** Checks what only the end can tell, and that the index counted the same. */
  finish(index: ManifestIndex): void {
    for (const [name, path] of this.#announced) {
      throw manifestFault(
        path,
        `has the further name ${displayPath(Buffer.from(name, 'latin1'))}, which is not there`,
      );
    }
    if (index.entries !== this.#entries || index.bytes !== this.#bytes || index.blocks !== this.#blocks) {
      throw miscounted();
    }
  }

  #checkParent(entry: Entry): void {
    if (entry.path.length === 0) {
      if (entry.type !== 'directory') throw manifestFault(entry.path, 'is not a directory');
      return;
    }
    while (this.#directories.length > 0 && !isBelow(entry.path, this.#directories.at(-1)!))
      this.#directories.pop();
    if (!this.#directories.at(-1)?.equals(parentPath(entry.path)))
      throw manifestFault(entry.path, 'is not in a directory');
  }

  #announce(entry: LinkableEntry): void {
    if (this.#announced.has(entry.path.toString('latin1'))) {
      throw manifestFault(entry.path, 'is announced as a further name, but is not one');
    }
    for (const name of entry.names) this.#announceName(name.toString('latin1'), entry.path);
    if (entry.type === 'file' && entry.digest === null && dataSizeOf(entry.size, entry.holes) > 0n) {
      throw manifestFault(entry.path, 'has data but no digest');
    }
  }

  #announceName(name: string, path: Buffer): void {
    const other = this.#announced.get(name);
    if (other !== undefined)
      throw manifestFault(path, `has a further name that ${displayPath(other)} has as well`);
    this.#announced.set(name, path);
  }

  #checkLink(path: Buffer, target: Buffer): void {
    const name = path.toString('latin1');
    if (!this.#announced.get(name)?.equals(target)) {
      throw manifestFault(path, `is a hard link to ${displayPath(target)}, which does not have it as a name`);
    }
    this.#announced.delete(name);
  }
}
