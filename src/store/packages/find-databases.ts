import type { Entry, FileEntry } from '../../image/entry.js';

const OS_RELEASE = ['etc/os-release', 'usr/lib/os-release'];
/** Files of dpkg's database: of Debian, and of distroless images, which have one for each package. */
const DPKG = /^var\/lib\/dpkg\/(?:status|status\.d\/(?!.*\.md5sums$)[^/]+)$/;
/** Where rpm has its database; `var/lib/rpm` is a symlink to one of the others in newer systems, or what is left of an older one. */
const RPM_PLACES = ['usr/lib/sysimage/rpm', 'usr/share/rpm', 'var/lib/rpm'];
const SQLITE = 'rpmdb.sqlite';
const RPM_FILES = [SQLITE, `${SQLITE}-wal`, 'Packages.db', 'Packages'];
const RPM = new Set(RPM_PLACES.flatMap(place => RPM_FILES.map(name => `${place}/${name}`)));
const MAX_FILES = 20_000;

/** A file by the path that it was looked for at. */
export interface FoundFile {
  path: string;
  file: FileEntry;
}

/** The database of rpm that counts. */
export type RpmFiles =
  { form: 'sqlite'; database: FoundFile; log: FoundFile | undefined } | { form: 'old'; database: FoundFile };

/** Notes which files of a tree tell of its packages, while the tree goes by. */
export class PackageFiles {
  readonly #files = new Map<string, FileEntry>();
  #isTooMany = false;

  /** Hands on the entries as they are. */
  *watch(entries: Iterable<Entry>): Generator<Entry, void, undefined> {
    for (const entry of entries) {
      if (entry.type === 'file' && entry.size > 0n)
        for (const path of [entry.path, ...entry.names]) this.#note(path.toString('latin1'), entry);
      yield entry;
    }
  }

  #note(path: string, entry: FileEntry): void {
    if (!OS_RELEASE.includes(path) && !DPKG.test(path) && !RPM.has(path)) return;
    if (this.#files.size < MAX_FILES) this.#files.set(path, entry);
    else this.#isTooMany = true;
  }

  /** Whether there were more than are kept. */
  get isTooMany(): boolean {
    return this.#isTooMany;
  }

  osRelease(): FoundFile | undefined {
    return OS_RELEASE.map(path => this.#at(path)).find(found => found !== undefined);
  }

  dpkg(): FoundFile[] {
    return [...this.#files].filter(([path]) => DPKG.test(path)).map(([path, file]) => ({ path, file }));
  }

  rpm(): RpmFiles | undefined {
    for (const place of RPM_PLACES) {
      const database = this.#at(`${place}/${SQLITE}`);
      if (database !== undefined)
        return { form: 'sqlite', database, log: this.#at(`${place}/${SQLITE}-wal`) };
      const old = this.#at(`${place}/Packages.db`) ?? this.#at(`${place}/Packages`);
      if (old !== undefined) return { form: 'old', database: old };
    }
    return undefined;
  }

  #at(path: string): FoundFile | undefined {
    const file = this.#files.get(path);
    return file === undefined ? undefined : { path, file };
  }
}
