import type { Entry, FileEntry } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { readDpkgStatus, readOsRelease } from '../../image/dpkg-status.js';
import type { Package, PackageList } from '../../image/package-list.js';
import {
  encodePackageList,
  MAX_LIST_BYTES,
  MAX_PACKAGES,
  PACKAGES_ANNOTATION,
} from '../../image/package-list.js';
import type { ImageRecord, Store } from '../store.js';

/** Files of dpkg's database: of Debian, and of distroless images, which have one for each package. */
const DPKG = /^var\/lib\/dpkg\/(?:status|status\.d\/[^/]+)$/;
const NO_PACKAGE = /\.md5sums$/;
const OS_RELEASE = ['etc/os-release', 'usr/lib/os-release'];
const RPM = /^(?:var\/lib\/rpm|usr\/lib\/sysimage\/rpm)\/(?:rpmdb\.sqlite|Packages(?:\.db)?)$/;
const MAX_FILES = 20_000;

/** Notes which files of a tree tell of its packages, while the tree goes by. */
export class PackageFiles {
  readonly #files = new Map<string, FileEntry>();
  #isForeign = false;
  #isTooMany = false;

  /** Hands on the entries as they are. */
  *watch(entries: Iterable<Entry>): Generator<Entry, void, undefined> {
    for (const entry of entries) {
      if (entry.type === 'file' && entry.digest !== null) this.#note(entry);
      yield entry;
    }
  }

  #note(entry: FileEntry): void {
    const path = entry.path.toString('latin1');
    if (RPM.test(path)) this.#isForeign = true;
    if (!OS_RELEASE.includes(path) && (!DPKG.test(path) || NO_PACKAGE.test(path))) return;
    if (this.#files.size < MAX_FILES) this.#files.set(path, entry);
    else this.#isTooMany = true;
  }

  /**
   * Stores the list of packages, and resolves to its digest in hex; undefined if there is no database. What is wrong with one is
   * warned of: the image is good without it.
   */
  async store(store: Store, warn: (message: string) => void): Promise<string | undefined> {
    if (this.#isForeign)
      warn('The packages of rpm are not listed: their database is not read in this version');
    if (this.#isTooMany) warn('Not all packages are listed: their database has too many files');
    const databases = [...this.#files].filter(([path]) => DPKG.test(path));
    if (databases.length === 0) return undefined;
    const packages: Package[] = [];
    let left = MAX_LIST_BYTES;
    for (const [path, { digest, size }] of databases) {
      if (size > left) {
        warn(`Not all packages are listed: /${path} and the files before it are too large`);
        break;
      }
      left -= Number(size);
      const bytes = await this.#read(store, path, digest!, warn);
      const { packages: more, illFormed } = readDpkgStatus(bytes, MAX_PACKAGES - packages.length);
      if (illFormed > 0)
        warn(`/${path} has ${String(illFormed)} entries that are no packages; they are not listed`);
      for (const each of more) packages.push(each);
    }
    const list: PackageList = { system: await this.#system(store, warn), packages };
    const encoded = encodePackageList(list);
    if (encoded.length <= MAX_LIST_BYTES) return (await store.put(encoded)).digest.toString('hex');
    warn('The packages are not listed: there are too many');
    return undefined;
  }

  async #system(store: Store, warn: (message: string) => void): Promise<PackageList['system']> {
    const release = OS_RELEASE.map(path => ({ path, entry: this.#files.get(path) })).find(
      ({ entry }) => entry,
    );
    if (release?.entry === undefined) return { id: '', version: '' };
    return readOsRelease(await this.#read(store, release.path, release.entry.digest!, warn));
  }

  async #read(store: Store, path: string, digest: Buffer, warn: (message: string) => void): Promise<Buffer> {
    try {
      return await store.read(digest, MAX_LIST_BYTES);
    } catch (reason) {
      const { message } = ImageUnpackerError.from(reason, 'Cannot read it');
      warn(`Not all packages are listed: /${path}: ${message}`);
      return Buffer.alloc(0);
    }
  }
}

/** The record with the list of packages as an annotation, unless it has one of that name. */
export async function withPackages(
  record: ImageRecord,
  files: PackageFiles,
  store: Store,
  warn: (message: string) => void,
): Promise<ImageRecord> {
  if (record.annotations[PACKAGES_ANNOTATION] !== undefined) return record;
  const digest = await files.store(store, warn);
  if (digest === undefined) return record;
  return { ...record, annotations: { ...record.annotations, [PACKAGES_ANNOTATION]: digest } };
}
