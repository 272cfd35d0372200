import type { DirectoryEntry, Entry, FileEntry, Metadata } from '../../image/entry.js';
import { sha512 } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';
import { comparePaths, displayPath, parentPath } from '../../image/path.js';
import type { ImageFiles } from './image-files.js';

/** One label on all that SELinux is to know. */
const SELINUX = Buffer.from('security.selinux');
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/**
 * Files that a layout adds to an image, or changes in it, as entries of the wanted tree. They are ordinary entries:
 * nothing that is added lies below a symbolic link, and what is the same at the next revision is not written again.
 */
export class GeneratedFiles {
  readonly #files: ImageFiles;
  readonly #entries = new Map<string, Entry>();
  /** What the files hold, by the digests of their data in hex. */
  readonly contents = new Map<string, Buffer>();

  constructor(files: ImageFiles) {
    this.#files = files;
  }

  /** The entries, in the order of their paths. */
  get entries(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => comparePaths(a.path, b.path));
  }

  /** The paths of the entries, as they are shown. */
  get paths(): string[] {
    return this.entries.map(({ path }) => displayPath(path));
  }

  /**
   * Has a file hold a text; one that does already is left as it is. Throws `IMAGE_UNSUPPORTED` when the image has
   * something in its place, or above it, that cannot give way.
   */
  async write(shown: string, text: string): Promise<void> {
    const path = Buffer.from(shown.slice(1));
    const bytes = Buffer.from(text);
    const digest = sha512(bytes);
    const parent = await this.#directory(parentPath(path));
    const found = await this.#files.entry(path);
    if (found?.type === 'file' && found.digest?.equals(digest) === true && found.holes.length === 0) return;
    const metadata = await this.#metadataOf(found, parent, shown);
    const content = { size: BigInt(bytes.length), holes: [], digest };
    this.#entries.set(shown, { type: 'file', path, ...metadata, ...content, names: [] } satisfies FileEntry);
    this.contents.set(digest.toString('hex'), bytes);
  }

  /** A directory, made if the image has it not. */
  async #directory(path: Buffer): Promise<DirectoryEntry> {
    const shown = displayPath(path);
    const made = this.#entries.get(shown);
    if (made?.type === 'directory') return made;
    const found = await this.#files.entry(path);
    if (found?.type === 'directory') return found;
    if (found !== undefined) {
      const what =
        found.type === 'symlink' ? `a symbolic link to ${displayPath(found.target)}` : `a ${found.type}`;
      throw unsupported(
        shown,
        `is ${what} where boot configuration belongs, which is never written through it; make it a directory, or say --no-boot`,
      );
    }
    const parent = await this.#directory(parentPath(path));
    const entry: DirectoryEntry = { type: 'directory', path, ...fresh(DIRECTORY_MODE, parent) };
    this.#entries.set(shown, entry);
    return entry;
  }

  /** A file that is changed keeps what is known of it but its content. */
  async #metadataOf(found: Entry | undefined, parent: DirectoryEntry, shown: string): Promise<Metadata> {
    if (found === undefined) return fresh(FILE_MODE, parent);
    if (found.type === 'directory' || found.type === 'link' || found.names.length > 0) {
      const what = found.type === 'directory' ? 'is a directory' : 'has further names';
      throw unsupported(
        shown,
        `${what}, so it cannot be replaced; leave it out of the image, or say --boot-files keep`,
      );
    }
    if (found.type !== 'file') return Promise.resolve(fresh(FILE_MODE, parent));
    const { mode, uid, gid, flags, xattrs } = found;
    return { mode, uid, gid, flags, xattrs, mtime: 0n };
  }
}

/** Of what is new; the time is the same for ever, so that what does not change is never written again. */
function fresh(mode: number, parent: DirectoryEntry): Metadata {
  const xattrs = parent.xattrs.filter(({ name }) => name.equals(SELINUX));
  return { mode, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs };
}

function unsupported(path: string, what: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_UNSUPPORTED', `${path} of the image ${what}`, { path });
}
