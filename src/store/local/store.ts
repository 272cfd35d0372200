import { join, resolve } from 'node:path';
import type { DiskMap } from '../../image/disk-map.js';
import { sha512 } from '../../image/digest.js';
import { dataSizeOf } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { limited } from '../../image/limited.js';
import { checkStreamName, parseImageName } from '../../image/name.js';
import type { Limits } from '../../image/settable-limits.js';
import { DEFAULT_LIMITS } from '../../image/settable-limits.js';
import type { Watch } from '../../native.js';
import { syncFileSystem } from '../../native.js';
import type { SourceKnowledge } from '../../source/tree.js';
import type { Channel } from '../channel.js';
import { currentMove } from '../channel.js';
import type { FileData } from '../derivable.js';
import { imageExists, imageInUse } from '../image-error.js';
import { requireObjects } from '../require-objects.js';
import type {
  CreateOptions,
  FetchedObjects,
  ImageRecord,
  ObjectChecks,
  OnDamaged,
  RemoveOptions,
  SmallObject,
  Store,
  Stored,
} from '../store.js';
import { LocalChannels } from './channels.js';
import { noteDamage, removeNoted } from './damaged-object.js';
import { LocalDiskMaps } from './disk-maps.js';
import { EarlySync } from './early-sync.js';
import { ingestRescued } from './ingest-rescued.js';
import { LocalImages } from './images.js';
import { LocalLease } from './lease.js';
import { lockRecords } from './lock-store.js';
import { LocalObjects } from './objects.js';
import { openDirectory } from './open-directory.js';
import { revisionOf } from './revision.js';
import type { Session } from './session.js';
import { beginSession } from './session.js';
import { LocalSources } from './sources.js';

/** Each of them keeps one of the few threads that all calls share. */
const DERIVATIONS_AT_ONCE = 2;
/** As many as are done in a third of the time after which who waits in silence counts as gone, if they are of a gibibyte each. */
const MOST_DERIVATIONS = 16;

export interface LocalStoreOptions {
  /** Whether to make the store if the directory does not exist or is empty. */
  create?: boolean;
  signal?: AbortSignal | undefined;
  limits?: Limits | undefined;
}

/** Opens the store in the directory `location`. Throws `STORE_MISSING` when there is none. */
export async function openLocalStore(location: string, options: LocalStoreOptions = {}): Promise<LocalStore> {
  await openDirectory(resolve(location), options.create === true);
  return new LocalStore(location, options);
}

/**
 * A store in a directory (local/layout.ts). Objects that were read, found or put stay until `close`: a
 * lease is held from the first of these calls on (lease.ts).
 */
export class LocalStore implements Store {
  readonly location: string;
  readonly limits: Limits;
  readonly #path: string;
  readonly #signal: AbortSignal | undefined;
  readonly #objects: LocalObjects;
  readonly #images: LocalImages;
  readonly #channels: LocalChannels;
  readonly #diskMaps: LocalDiskMaps;
  readonly #sources: LocalSources;
  #lease: Promise<LocalLease> | undefined;
  readonly #early = new EarlySync();
  readonly #ingesting = limited(1);
  readonly #deriving = limited(DERIVATIONS_AT_ONCE);
  #derivations = 0;
  #session: Promise<Session> | undefined;

  constructor(location: string, { signal, limits = DEFAULT_LIMITS }: LocalStoreOptions) {
    this.location = location;
    this.limits = limits;
    this.#path = resolve(location);
    this.#signal = signal;
    this.#objects = new LocalObjects(this.#path);
    this.#images = new LocalImages(this.#path);
    this.#channels = new LocalChannels(this.#path);
    this.#diskMaps = new LocalDiskMaps(this.#path);
    this.#sources = new LocalSources(this.#path);
  }

  async image(name: string): Promise<ImageRecord> {
    return this.#images.read(name);
  }

  async list(stream?: string, onDamaged?: OnDamaged): Promise<ImageRecord[]> {
    if (stream !== undefined) checkStreamName(stream);
    return this.#images.list(stream, onDamaged);
  }

  async checkIsNew(name: string): Promise<void> {
    if (await this.#images.has(name)) throw imageExists(this.location, name);
  }

  async create(record: ImageRecord, { reuseName = false }: CreateOptions = {}): Promise<void> {
    const session = await this.#begin();
    await this.checkIsNew(record.name);
    try {
      // What is stored from now on needs another sync.
      session.unsynced = false;
      await this.#early.end();
      await syncFileSystem(session.directory.fd);
    } catch (reason) {
      session.unsynced = true;
      throw this.#cannotWrite(reason);
    }
    await this.#changeRecords(() => this.#images.create(session, record, reuseName));
  }

  async replace(next: ImageRecord, expected: ImageRecord): Promise<void> {
    await this.#changeRecords(session => this.#images.replace(session, next, expected));
  }

  async remove(name: string, { expected, force = false }: RemoveOptions = {}): Promise<void> {
    await this.#changeRecords(async session => {
      if (!force) await this.#checkIsUnnamed(name);
      await this.#images.remove(session, name, expected);
    });
  }

  async channels(stream?: string, onDamaged?: OnDamaged): Promise<Channel[]> {
    if (stream !== undefined) checkStreamName(stream);
    return this.#channels.list(stream, onDamaged);
  }

  async channel(stream: string, name: string): Promise<Channel | undefined> {
    return this.#channels.read(stream, name);
  }

  async replaceChannel(next: Channel, expected: Channel | undefined): Promise<void> {
    await this.#changeRecords(async session => {
      const { image } = currentMove(next);
      if (image !== null) await this.#images.read(image);
      await this.#channels.replace(session, next, expected);
    });
  }

  async revision(): Promise<string> {
    return revisionOf(this.#path);
  }

  async diskMap(imageDigest: string, diskDigest: Buffer): Promise<DiskMap | undefined> {
    return this.#diskMaps.read(imageDigest, diskDigest);
  }

  async diskMaps(imageDigest: string): Promise<Buffer[]> {
    return this.#diskMaps.list(imageDigest);
  }

  async keepDiskMap(imageDigest: string, map: DiskMap): Promise<void> {
    await this.#diskMaps.keep(await this.#begin(), imageDigest, map);
  }

  async has(digests: readonly Buffer[]): Promise<boolean[]> {
    return (await this.sizes(digests)).map(size => size !== undefined);
  }

  /** The size of each object in bytes; undefined of one that is not there. */
  async sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    await this.#rescue(digests);
    return this.#objects.sizes(digests);
  }

  async read(digest: Buffer, limit: number): Promise<Buffer> {
    await this.#rescue([digest]);
    return this.#objects.read(digest, limit);
  }

  async readMany(digests: readonly Buffer[], limit: number): Promise<Buffer[]> {
    await this.#rescue(digests);
    return this.#objects.readMany(digests, limit);
  }

  async *stream(digest: Buffer): AsyncGenerator<Buffer, void, undefined> {
    await this.#rescue([digest]);
    yield* this.#objects.stream(digest);
  }

  async put(bytes: Buffer): Promise<Stored> {
    const session = await this.#beginStoring();
    const lease = await this.#hold();
    if (!lease.knowsNone) await lease.rescue([sha512(bytes)]);
    this.#early.stored(session.directory.fd, bytes.length);
    return this.#objects.put(session, bytes, false);
  }

  async putMany(objects: readonly SmallObject[]): Promise<boolean[]> {
    const session = await this.#beginStoring();
    await this.#rescue(objects.map(({ digest }) => digest));
    const added = await this.#objects.putMany(session, objects);
    const total = objects.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#early.stored(session.directory.fd, total);
    return added;
  }

  async putStream(chunks: AsyncIterable<Buffer>): Promise<Stored> {
    const session = await this.#beginStoring();
    const lease = await this.#hold();
    const rescue = lease.knowsNone ? undefined : (digest: Buffer) => lease.rescue([digest]);
    const early = this.#early;
    const told = async function* (): AsyncGenerator<Buffer, void, undefined> {
      for await (const chunk of chunks) {
        early.stored(session.directory.fd, chunk.length);
        yield chunk;
      }
    };
    return this.#objects.putStream(session, told(), rescue);
  }

  async derive(wanted: FileData, found: FileData, signal?: AbortSignal): Promise<boolean> {
    if (this.#derivations === MOST_DERIVATIONS) return false;
    this.#derivations++;
    try {
      return await this.#deriving(() => this.#deriveNow(wanted, found, signal));
    } finally {
      this.#derivations--;
    }
  }

  async ingest(root: number, files: Buffer, watch: Watch): Promise<Buffer> {
    const session = await this.#beginStoring();
    // One call by itself keeps all processors busy.
    const ingest = (): Promise<Buffer> =>
      this.#ingesting(() => this.#objects.ingest(session, root, files, watch));
    return ingestRescued(ingest, await this.#hold(), digests => this.has(digests));
  }

  /** What `remember` kept of a source; undefined if it kept nothing. It may be damaged or long out of date. */
  async recall(source: string): Promise<Buffer | undefined> {
    return this.#sources.recall(source);
  }

  /** Keeps what is known of a source, for whoever reads it next. */
  async remember({ source, bytes }: SourceKnowledge): Promise<void> {
    await this.#sources.remember(await this.#begin(), source, bytes);
  }

  async check(digests: readonly Buffer[], watch: Watch): Promise<ObjectChecks> {
    await this.#rescue(digests);
    const directory = await this.#objects.openDirectory();
    try {
      const { faults, sizes } = await this.#objects.check(directory.fd, digests, false, watch);
      return { faults, sizes };
    } finally {
      await directory.close();
    }
  }

  async noteDamage(digests: readonly Buffer[]): Promise<void> {
    try {
      await noteDamage(this.#path, digests);
    } catch (reason) {
      throw this.#cannotWrite(reason);
    }
  }

  async fetch(digests: readonly Buffer[], watch: Watch): Promise<FetchedObjects> {
    await this.#rescue(digests);
    const keys = digests.map(digest => digest.toString('latin1'));
    const unique = new Map(keys.map((key, at) => [key, digests[at]!]));
    const directory = await this.#objects.openDirectory();
    try {
      const checks = await this.#objects.check(directory.fd, [...unique.values()], true, watch);
      requireObjects(this.location, checks.faults);
      const known = new Map([...unique.keys()].map((key, at) => [key, checks.sizes[at]!]));
      const sizes = keys.map(key => known.get(key)!);
      const { sparse } = checks;
      return { directory: directory.fd, bytesFetched: 0, sizes, sparse, close: () => directory.close() };
    } catch (reason) {
      await directory.close();
      throw reason;
    }
  }

  async close(): Promise<void> {
    const [session, lease] = [
      await this.#session?.catch(() => undefined),
      await this.#lease?.catch(() => undefined),
    ];
    this.#session = undefined;
    this.#lease = undefined;
    try {
      await this.#early.end();
    } finally {
      try {
        await session?.end();
      } finally {
        await lease?.end();
      }
    }
  }

  async #deriveNow(wanted: FileData, found: FileData, signal: AbortSignal | undefined): Promise<boolean> {
    const session = await this.#beginStoring();
    await this.#rescue([wanted.digest!, found.digest!]);
    const isMade = await this.#objects.derive(session, wanted, found, signal);
    if (isMade) this.#early.stored(session.directory.fd, Number(dataSizeOf(wanted.size, wanted.holes)));
    return isMade;
  }

  /** Keeps the objects from being collected until `close`. */
  async #hold(): Promise<LocalLease> {
    this.#lease ??= LocalLease.begin(this.#path, this.#signal);
    return this.#lease;
  }

  async #rescue(digests: readonly Buffer[]): Promise<void> {
    const lease = await this.#hold();
    if (!lease.knowsNone) await lease.rescue(digests);
  }

  /** Changes records while nobody else does. */
  async #changeRecords(work: (session: Session) => Promise<void>): Promise<void> {
    const session = await this.#begin();
    const lock = await lockRecords(this.#path, this.#signal);
    try {
      await work(session);
    } finally {
      await lock.close();
    }
  }

  async #checkIsUnnamed(name: string): Promise<void> {
    const { stream } = parseImageName(name);
    const naming = (await this.#channels.list(stream)).find(channel => currentMove(channel).image === name);
    if (naming !== undefined) throw imageInUse(name, naming);
  }

  async #begin(): Promise<Session> {
    await this.#hold();
    this.#session ??= beginSession(this.#path)
      .then(async session => {
        await removeNoted(this.#path, join(session.path, 'damaged'));
        return session;
      })
      .catch((reason: unknown) => {
        throw this.#cannotWrite(reason);
      });
    return this.#session;
  }

  async #beginStoring(): Promise<Session> {
    const session = await this.#begin();
    session.unsynced = true;
    return session;
  }

  #cannotWrite(reason: unknown): ImageUnpackerError {
    return ImageUnpackerError.from(reason, `Cannot write to the store ${this.location}`, {
      path: this.location,
    });
  }
}
