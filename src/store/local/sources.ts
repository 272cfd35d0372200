import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import { syncDirectory } from '../durable.js';
import { SOURCES } from './layout.js';
import type { Session } from './session.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
/** Whoever can read a store may profit; it tells less of a source than its images do. */
const MODE = 0o644;
/** More than this is not read: some nine million files. */
const MAX_BYTES = 2 ** 30;
/** Of so many sources something is kept: of those that were built from last. */
const MAX_SOURCES = 64;

/** What a store keeps of the sources that images were built from. All of it can be found out again. */
export class LocalSources {
  readonly #location: string;
  readonly #path: string;

  constructor(location: string) {
    this.#location = location;
    this.#path = join(location, SOURCES);
  }

  /** What was kept of a source; undefined if nothing was. Its reader sees whether it is whole. */
  async recall(source: string): Promise<Buffer | undefined> {
    try {
      const file = await open(join(this.#path, source), READ);
      try {
        return (await file.stat()).size > MAX_BYTES ? undefined : await file.readFile();
      } finally {
        await file.close();
      }
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw this.#failed(reason, 'read');
    }
  }

  /** Keeps something of a source, durably, in the place of what was kept of it before. */
  async remember(session: Session, source: string, bytes: Buffer): Promise<void> {
    const temporary = join(session.path, `source-${source}`);
    try {
      await mkdir(this.#path, { recursive: true });
      const file = await open(temporary, CREATE, MODE);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, join(this.#path, source));
      await this.#forgetOldest();
      for (const directory of [this.#path, this.#location]) await syncDirectory(directory);
    } catch (reason) {
      throw this.#failed(reason, 'keep');
    }
  }

  async #forgetOldest(): Promise<void> {
    const names = await readdir(this.#path);
    if (names.length <= MAX_SOURCES) return;
    const ages = await Promise.all(names.map(name => lstat(join(this.#path, name), { bigint: true })));
    const files = names.map((name, at) => ({ name, written: ages[at]!.mtimeNs }));
    files.sort((a, b) => (a.written < b.written ? 1 : -1));
    for (const { name } of files.slice(MAX_SOURCES)) await rm(join(this.#path, name), { force: true });
  }

  #failed(reason: unknown, doing: string): ImageUnpackerError {
    return ImageUnpackerError.from(reason, `Cannot ${doing} what is known of a source in ${this.#path}`, {
      path: this.#path,
    });
  }
}
