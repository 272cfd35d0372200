import { constants, lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { lstat, open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DIGEST_BYTES, sha512 } from '../../image/digest.js';
import type { Hole } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { PackedReader } from '../../image/packing.js';
import type { SparseForm, SparseForms } from '../../image/sparse-form.js';
import { formKey } from '../../image/sparse-form.js';
import type { Watch } from '../../native.js';
import {
  BackgroundHash,
  checkObjects,
  ingestFiles,
  isNativeError,
  objectSizes,
  readObjects,
  storeObjects,
} from '../../native.js';
import type { FileData } from '../derivable.js';
import { otherDigest } from '../put-many.js';
import type { ObjectChecks, ObjectFault, SmallObject, Stored } from '../store.js';
import { readsAs } from './damaged-object.js';
import { deriveObject } from './derive-object.js';
import { objectPath, OBJECTS } from './layout.js';
import type { Session } from './session.js';
import { OBJECT_MODE, TemporaryObject } from './temporary-object.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** A stream up to this size is held until its digest says whether it is stored already. */
const SMALL_BYTES = 1 << 20;
const CHUNK_BYTES = 1 << 20;
/** After so many others have their turn. */
const SIZES_AT_ONCE = 16_384;
/** The states of objects as `checkObjects` numbers them. */
const STATES: readonly (ObjectFault['state'] | undefined)[] = [undefined, 'missing', 'damaged'];
/** Calls of `ingestFiles` that are about the store; the others are about the files that it reads. */
const CALLS_ON_STORE = new Set(['openat', 'write', 'close', 'renameat', 'fstatat']);

/** What became of an object, as `storeObjects` numbers it. */
const ADDED_OUTCOME = 1;
const OTHER_OUTCOME = 2;

const NO_FILE = 'is no file';
const OTHER_DIGEST = 'is damaged: it does not have the digest that is its name';
/** What is wrong with an object that could not be read, by the code of the error. */
const FAULTS = new Map<string | undefined, string>([
  ['ENOENT', 'is missing'],
  ['ELOOP', NO_FILE],
  ['ENXIO', NO_FILE],
  ['EFBIG', 'is larger than anything of its kind'],
  ['EBADMSG', OTHER_DIGEST],
]);

let temporaries = 0;

/** The objects of a store in a directory. */
export class LocalObjects {
  readonly #location: string;
  readonly #path: string;

  constructor(location: string) {
    this.#location = location;
    this.#path = join(location, OBJECTS);
  }

  /** Opens the directory that holds the objects. The descriptor is the caller's to close. */
  async openDirectory(): Promise<FileHandle> {
    try {
      return await open(this.#path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    } catch (reason) {
      throw this.#failed(reason, 'open');
    }
  }

  /** Whether there is such an object; of `size` bytes if that is known. Its content is not looked at. */
  async has(digest: Buffer, size?: number): Promise<boolean> {
    try {
      const found = await lstat(this.#pathOf(digest));
      return found.isFile() && (size === undefined || found.size === size);
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw this.#failed(reason, 'look for an object in');
    }
  }

  /** The size of each object in bytes; undefined of one that is not there. */
  async sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    if (digests.length === 0) return [];
    const directory = await this.openDirectory();
    try {
      const sizes: (number | undefined)[] = [];
      for (let at = 0; at < digests.length; at += SIZES_AT_ONCE)
        sizes.push(...(await objectSizes(directory.fd, digests.slice(at, at + SIZES_AT_ONCE))));
      return sizes;
    } catch (reason) {
      throw this.#failed(reason, 'look for objects in');
    } finally {
      await directory.close();
    }
  }

  /** One object of `readMany`. */
  async read(digest: Buffer, limit: number): Promise<Buffer> {
    const [bytes] = await this.readMany([digest], limit);
    return bytes!;
  }

  /** Whole objects, which have at most `limit` bytes and the right digests. Throws `STORE_DAMAGED`. */
  async readMany(digests: readonly Buffer[], limit: number): Promise<Buffer[]> {
    const directory = await this.openDirectory();
    try {
      return await readObjects(directory.fd, Buffer.concat(digests), limit);
    } catch (reason) {
      const path = isNativeError(reason) ? reason.path : undefined;
      if (path === undefined) throw this.#failed(reason, 'read an object of');
      throw this.#cannotRead(reason, Buffer.from(basename(path.toString()), 'hex'));
    } finally {
      await directory.close();
    }
  }

  /** The bytes of the object; what comes last comes only when all is known to be right. */
  async *stream(digest: Buffer): AsyncGenerator<Buffer, void, undefined> {
    const file = await this.#open(digest);
    try {
      const hash = new BackgroundHash();
      let held: Buffer | undefined;
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES);
        if (bytesRead === 0) break;
        if (held !== undefined) yield held;
        held = buffer.subarray(0, bytesRead);
        await hash.update(held);
      }
      if (!hash.digest().equals(digest)) throw this.#fault(digest, OTHER_DIGEST);
      if (held !== undefined) yield held;
    } catch (reason) {
      throw this.#failed(reason, 'read an object of');
    } finally {
      await file.close();
    }
  }

  /**
   * Stores bytes under their digest. They are few, and the calls are synchronous: for small files, which come
   * by the hundred thousand, going through the thread pool takes five times as long. What is there already is read
   * and compared, or, if it is `trusted`, not looked at but for its size.
   */
  put(session: Session, bytes: Buffer, trusted: boolean): Stored {
    const stored = { digest: sha512(bytes), size: bytes.length };
    const path = this.#pathOf(stored.digest);
    const temporary = temporaryPath(session);
    try {
      const found = lstatSync(path, { throwIfNoEntry: false });
      const isThere = found?.isFile() === true && found.size === bytes.length;
      if (isThere && (trusted || readsAs(path, bytes))) return { ...stored, added: false };
      writeFileSync(temporary, bytes, { flag: 'wx', mode: OBJECT_MODE });
      renameSync(temporary, path);
    } catch (reason) {
      rmSync(temporary, { force: true });
      throw this.#failed(reason, 'store an object in');
    }
    return { ...stored, added: true };
  }

  /**
   * Stores objects under their digests, off the main thread; what is there is compared, and mended. Resolves to whether each
   * was added. Throws `USAGE` for one that has another digest.
   */
  async putMany(session: Session, objects: readonly SmallObject[]): Promise<boolean[]> {
    const directory = await this.openDirectory();
    try {
      const outcomes = await storeObjects(
        { objects: directory.fd, temporary: session.directory.fd },
        Buffer.concat(objects.map(({ digest }) => digest)),
        objects.map(({ bytes }) => bytes),
      );
      const other = outcomes.indexOf(OTHER_OUTCOME);
      if (other >= 0) throw otherDigest(objects[other]!.digest);
      return [...outcomes].map(outcome => outcome === ADDED_OUTCOME);
    } catch (reason) {
      throw this.#failed(reason, 'store an object in');
    } finally {
      await directory.close();
    }
  }

  /**
   * Stores what comes in chunks under its digest, with no more than a small part of it in memory. `rescue` is called before
   * it is looked whether there is an object of that digest.
   */
  async putStream(
    session: Session,
    chunks: AsyncIterable<Buffer>,
    rescue?: (digest: Buffer) => Promise<unknown>,
  ): Promise<Stored> {
    const temporary = new TemporaryObject(temporaryPath(session));
    let held: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of chunks) {
        size += chunk.length;
        held.push(chunk);
        if (size <= SMALL_BYTES) continue;
        for (const piece of held) await temporary.write(piece);
        held = [];
      }
      if (size <= SMALL_BYTES) {
        const bytes = held.length === 1 ? held[0]! : Buffer.concat(held, size);
        if (rescue !== undefined) await rescue(sha512(bytes));
        return this.put(session, bytes, true);
      }
      const stored = { digest: await temporary.digest(), size };
      await rescue?.(stored.digest);
      if (await this.has(stored.digest, size)) return { ...stored, added: false };
      await temporary.publish(this.#pathOf(stored.digest));
      return { ...stored, added: true };
    } catch (reason) {
      throw this.#failed(reason, 'store an object in');
    } finally {
      await temporary.discard();
    }
  }

  /** Makes an object of another one: see `Store.derive`. */
  async derive(session: Session, wanted: FileData, found: FileData, signal?: AbortSignal): Promise<boolean> {
    const [from, to] = [this.#pathOf(found.digest!), this.#pathOf(wanted.digest!)];
    try {
      const paths = { wanted: to, found: from, temporary: temporaryPath(session) };
      return await deriveObject(paths, wanted, found, signal);
    } catch (reason) {
      if (FAULTS.has((reason as NodeJS.ErrnoException).code)) return false;
      throw this.#failed(reason, 'make an object of');
    }
  }

  /** Hashes and stores files: see `Store.ingest`. */
  async ingest(session: Session, root: number, files: Buffer, watch: Watch): Promise<Buffer> {
    const objects = await this.openDirectory();
    try {
      const directories = { objects: objects.fd, temporary: session.directory.fd };
      return await ingestFiles(root, files, directories, watch);
    } catch (reason) {
      const isAboutFile = isNativeError(reason) && !CALLS_ON_STORE.has(reason.syscall);
      throw isAboutFile ? reason : this.#failed(reason, 'store an object in');
    } finally {
      await objects.close();
    }
  }

  /** Reads and hashes objects. Resolves as well to the sparse forms of those that are good, if they are wanted. */
  async check(
    directory: number,
    digests: readonly Buffer[],
    sparse: boolean,
    watch: Watch,
  ): Promise<ObjectChecks & { sparse: SparseForms }> {
    const asked = Buffer.concat(digests, digests.length * DIGEST_BYTES);
    try {
      return unpackChecks(digests, await checkObjects(directory, asked, sparse, watch));
    } catch (reason) {
      throw this.#failed(reason, 'read an object of');
    }
  }

  async #open(digest: Buffer): Promise<FileHandle> {
    const file = await open(this.#pathOf(digest), READ).catch((reason: unknown) => {
      throw this.#cannotRead(reason, digest);
    });
    if ((await file.stat()).isFile()) return file;
    await file.close();
    throw this.#fault(digest, NO_FILE);
  }

  #pathOf(digest: Buffer): string {
    return join(this.#path, objectPath(digest));
  }

  #cannotRead(reason: unknown, digest: Buffer): ImageUnpackerError {
    const fault = FAULTS.get((reason as NodeJS.ErrnoException).code);
    return fault === undefined ? this.#failed(reason, 'read an object of') : this.#fault(digest, fault);
  }

  #fault(digest: Buffer, what: string): ImageUnpackerError {
    const hex = digest.toString('hex');
    const message = `The object ${hex} of the store ${this.#location} ${what}; run 'imagetool verify' on its image, and then build that content again`;
    return new ImageUnpackerError('STORE_DAMAGED', message, { path: this.#location, digest: hex });
  }

  #failed(reason: unknown, doing: string): ImageUnpackerError {
    return ImageUnpackerError.from(reason, `Cannot ${doing} the store ${this.#location}`, {
      path: this.#location,
    });
  }
}

/** Unpacks what native/check.cc says of objects, where the grammar stands. */
function unpackChecks(digests: readonly Buffer[], packed: Buffer): ObjectChecks & { sparse: SparseForms } {
  const faults: ObjectFault[] = [];
  const sizes: number[] = [];
  const sparse = new Map<string, SparseForm>();
  const reader = new PackedReader(packed);
  for (const digest of digests) {
    const state = STATES[reader.u8()];
    if (state !== undefined) faults.push({ digest, state });
    sizes.push(Number(reader.u64()));
    const zeros: Hole[] = [];
    for (let count = reader.u32(); count > 0; count--)
      zeros.push({ start: reader.u64(), count: reader.u64() });
    if (zeros.length === 0) continue;
    const rest = reader.u8() === 0 ? null : Buffer.from(reader.raw(DIGEST_BYTES));
    sparse.set(formKey(digest), { digest: rest, zeros });
  }
  return { faults, sizes, sparse };
}

function temporaryPath(session: Session): string {
  return join(session.path, `object-${String(temporaries++)}`);
}
