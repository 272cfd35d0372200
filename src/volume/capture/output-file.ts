import { randomBytes } from 'node:crypto';
import { open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';

/** A file that is being written. It becomes visible under its name all at once, or never. */
export class OutputFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  #closed = false;

  private constructor(path: string, temporary: string, handle: FileHandle) {
    this.#path = path;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  /**
   * Begins a file that is to stand at `path`, replacing the file there, if any. Throws `OUTPUT` if `path`
   * is something else than a file, or no file can be made beside it.
   */
  static async create(path: string): Promise<OutputFile> {
    try {
      const target = await replaceable(path);
      const temporary = join(dirname(target), `.${randomBytes(8).toString('hex')}.tmp`);
      return new OutputFile(target, temporary, await open(temporary, 'wx'));
    } catch (error) {
      throw outputError(error, path);
    }
  }

  /** Sets the size; what is not written reads as zeros. */
  async resize(size: number): Promise<void> {
    await this.#try(() => this.#handle.truncate(size));
  }

  /** Writes all of `data` at `position`. Throws `NO_SPACE` or `OUTPUT`. */
  async write(data: Buffer, position: number): Promise<void> {
    await this.#try(async () => {
      for (let done = 0; done < data.length;) {
        done += (await this.#handle.write(data, done, data.length - done, position + done)).bytesWritten;
      }
    });
  }

  /** Makes what was written durable, still under no name. */
  async settle(): Promise<void> {
    await this.#try(() => this.#handle.sync());
  }

  /** Gives the settled file its name, durably. */
  async publish(): Promise<void> {
    await this.#try(async () => {
      await this.#close();
      await rename(this.#temporary, this.#path);
      const directory = await open(dirname(this.#path));
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    });
  }

  /** Removes the file unless it was published. */
  async discard(): Promise<void> {
    await this.#close();
    await rm(this.#temporary, { force: true });
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw outputError(error, this.#path);
    }
  }
}

/** Where the file at `path` really is; throws if it is something else than a file. */
async function replaceable(path: string): Promise<string> {
  try {
    const status = await stat(path);
    if (status.isFile()) return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return join(await realpath(dirname(path)), basename(path));
  }
  throw new ImageUnpackerError('OUTPUT', `Cannot write ${path}: it is not a file; name another`, { path });
}

function outputError(error: unknown, path: string): ImageUnpackerError {
  const { code, message } = ImageUnpackerError.from(error, `Cannot write ${path}`, { path });
  if (code === 'NO_SPACE' || error instanceof ImageUnpackerError) {
    return new ImageUnpackerError(code, message, { path }, error);
  }
  return new ImageUnpackerError('OUTPUT', message, { path }, error);
}
