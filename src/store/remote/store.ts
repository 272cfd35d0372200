import { sha512 } from '../../image/digest.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import { checkStreamName, parseImageName } from '../../image/name.js';
import type { Limits } from '../../image/settable-limits.js';
import { DEFAULT_LIMITS } from '../../image/settable-limits.js';
import type { Watch } from '../../native.js';
import type { SourceKnowledge } from '../../source/tree.js';
import type { CacheOptions } from '../cache/cache.js';
import { ObjectCache } from '../cache/cache.js';
import { Uploads } from '../cache/uploads.js';
import type { Channel } from '../channel.js';
import { decodeChannel, encodeChannel } from '../channel.js';
import type { FileData } from '../derivable.js';
import { checkImageDigest, fromStoredMap, toStoredMap } from '../disk-map-form.js';
import { imageExists } from '../image-error.js';
import type { ManifestReader } from '../manifest-reader.js';
import { byAge, decodeRecord, encodeRecord } from '../record.js';
import { requireObjects } from '../require-objects.js';
import type {
  ChangePosition,
  CreateOptions,
  FetchedObjects,
  HasOptions,
  ImageRecord,
  ObjectChecks,
  RemoveOptions,
  SmallObject,
  Store,
  StoreChanges,
  Stored,
} from '../store.js';
import { decodeChanges, splitMapDigests } from './changes.js';
import type { NamedRecord, ServerConnection } from './connection.js';
import { RemoteObjects } from './objects.js';
import { RemoteUploadTarget } from './upload-target.js';

/** So many large objects come at once. */
const FETCHES_AT_ONCE = 6;

export interface RemoteStoreOptions {
  signal?: AbortSignal | undefined;
  limits?: Limits | undefined;
  /** Where objects are kept on this machine. */
  cache: Omit<CacheOptions, 'signal'>;
}

/** The store of an image server. Objects that are fetched are kept on this machine as well; nothing that comes is trusted. */
export class RemoteStore implements Store {
  readonly location: string;
  readonly limits: Limits;
  readonly #server: ServerConnection;
  readonly #objects: RemoteObjects;
  readonly #target: RemoteUploadTarget;
  readonly #uploads: Uploads;
  readonly #cache: ObjectCache;

  constructor(server: ServerConnection, { signal, limits = DEFAULT_LIMITS, cache }: RemoteStoreOptions) {
    this.location = server.location;
    this.limits = limits;
    this.#server = server;
    this.#objects = new RemoteObjects(server);
    this.#cache = new ObjectCache({ ...cache, signal });
    this.#target = new RemoteUploadTarget(server);
    this.#uploads = new Uploads(this.#target, this.#cache);
  }

  async image(name: string): Promise<ImageRecord> {
    parseImageName(name);
    return this.#decode({ name, record: await this.#server.image(name) });
  }

  async list(stream?: string): Promise<ImageRecord[]> {
    if (stream !== undefined) checkStreamName(stream);
    const images = (await this.#server.images(stream)).map(each => this.#decode(each));
    return images.sort(byAge);
  }

  async checkIsNew(name: string): Promise<void> {
    const there = await this.image(name).catch((reason: unknown) => {
      if (reason instanceof ImageUnpackerError && reason.code === 'IMAGE_UNKNOWN') return undefined;
      throw reason;
    });
    if (there !== undefined) throw imageExists(this.location, name);
  }

  async create(record: ImageRecord, { reuseName = false }: CreateOptions = {}): Promise<void> {
    await this.#server.createImage(encoded(record), reuseName);
  }

  async replace(next: ImageRecord, expected: ImageRecord): Promise<void> {
    await this.#server.replaceImage(encoded(next), encodeRecord(expected));
  }

  async remove(name: string, { expected, force = false }: RemoveOptions = {}): Promise<void> {
    await this.#server.deleteImage(name, { expected: expected && encodeRecord(expected), force });
  }

  async channels(stream?: string): Promise<Channel[]> {
    if (stream !== undefined) checkStreamName(stream);
    return (await this.#server.channels(stream)).map(each =>
      decodeChannel(each.record, this.#place(`the channel ${each.stream}@${each.name}`), each),
    );
  }

  async channel(stream: string, name: string): Promise<Channel | undefined> {
    const record = await this.#server.channel(stream, name);
    if (record === undefined) return undefined;
    return decodeChannel(record, this.#place(`the channel ${stream}@${name}`), { stream, name });
  }

  async replaceChannel(next: Channel, expected: Channel | undefined): Promise<void> {
    const { stream, name } = next;
    const before = expected === undefined ? undefined : sha512(encodeChannel(expected));
    await this.#server.replaceChannel({ stream, name, record: encodeChannel(next) }, before);
  }

  async revision(): Promise<string> {
    return this.#server.revision();
  }

  watchRevision(signal: AbortSignal): AsyncIterable<string> {
    return this.#server.watchRevision(signal);
  }

  async changes(since: ChangePosition | undefined): Promise<StoreChanges> {
    return decodeChanges(await this.#server.changes(since), this.location);
  }

  async diskMap(imageDigest: string, diskDigest: Buffer): Promise<DiskMap | undefined> {
    checkImageDigest(imageDigest);
    const bytes = await this.#server.diskMap(Buffer.from(imageDigest, 'hex'), diskDigest);
    const name = diskDigest.toString('hex');
    return bytes && fromStoredMap(bytes, name, this.#place(`the disk map ${name}`));
  }

  async diskMaps(imageDigest: string): Promise<Buffer[]> {
    checkImageDigest(imageDigest);
    return splitMapDigests(await this.#server.diskMaps(Buffer.from(imageDigest, 'hex')), this.location);
  }

  async keepDiskMap(imageDigest: string, map: DiskMap): Promise<void> {
    checkImageDigest(imageDigest);
    const { name, bytes } = toStoredMap(map);
    await this.#server.keepDiskMap(Buffer.from(imageDigest, 'hex'), Buffer.from(name, 'hex'), bytes);
  }

  async has(digests: readonly Buffer[], { toStore = false }: HasOptions = {}): Promise<boolean[]> {
    return (await this.#server.sizes(digests, !toStore)).map(size => size !== undefined);
  }

  /** The size of each object in bytes; undefined of one that has to be sent, be it there or not. */
  async sizesToStore(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    return this.#server.sizes(digests, false);
  }

  async read(digest: Buffer, limit: number): Promise<Buffer> {
    const [bytes] = await this.readMany([digest], limit);
    return bytes!;
  }

  async readMany(digests: readonly Buffer[], limit: number): Promise<Buffer[]> {
    return this.#objects.readMany(digests, limit);
  }

  stream(digest: Buffer): AsyncIterable<Buffer> {
    return this.#objects.stream(digest);
  }

  /** The server compares what is there, and mends it. */
  async put(bytes: Buffer): Promise<Stored> {
    const digest = sha512(bytes);
    const [added] = await this.#server.sendObjects([{ digest, bytes }]);
    return { digest, size: bytes.length, added: added! };
  }

  async putMany(objects: readonly SmallObject[]): Promise<boolean[]> {
    return this.#server.sendObjects(objects);
  }

  async putStream(chunks: AsyncIterable<Buffer>): Promise<Stored> {
    return this.#uploads.putStream(chunks);
  }

  basedOn(base: ManifestReader): void {
    this.#target.basedOn(base);
  }

  async derive(wanted: FileData, found: FileData): Promise<boolean> {
    return this.#server.deriveObject(wanted, found);
  }

  async ingest(root: number, files: Buffer, watch: Watch): Promise<Buffer> {
    return this.#uploads.ingest(root, files, watch);
  }

  /** What `remember` kept of a source on this machine; undefined if it kept nothing. */
  async recall(source: string): Promise<Buffer | undefined> {
    return this.#cache.recall(source);
  }

  /** Keeps what is known of a source, on this machine. */
  async remember(knowledge: SourceKnowledge): Promise<void> {
    await this.#cache.remember(knowledge);
  }

  async check(digests: readonly Buffer[], watch: Watch): Promise<ObjectChecks> {
    const found = await this.#server.check(digests, watch);
    const faults = found.flatMap(({ state }, at) =>
      state === 'good' ? [] : [{ digest: digests[at]!, state }],
    );
    return { faults, sizes: found.map(({ size }) => size) };
  }

  async noteDamage(digests: readonly Buffer[]): Promise<void> {
    await this.#server.reportDamage(digests);
  }

  async fetch(digests: readonly Buffer[], watch: Watch): Promise<FetchedObjects> {
    const unique = [...new Map(digests.map(digest => [digest.toString('latin1'), digest])).values()];
    try {
      const small = await this.#bringSmall(unique, watch);
      // The cache hashes them.
      const bring = (digest: Buffer): AsyncIterable<Buffer> => this.#server.object(digest, 0);
      const fetched = await this.#cache.fetch(digests, bring, FETCHES_AT_ONCE, watch);
      return { ...fetched, bytesFetched: fetched.bytesFetched + small };
    } catch (reason) {
      if (!(reason instanceof ImageUnpackerError) || reason.code !== 'STORE_DAMAGED') throw reason;
      // All of them are to be named.
      requireObjects(this.location, (await this.check(unique, { signal: watch.signal })).faults);
      throw reason;
    }
  }

  async close(): Promise<void> {
    try {
      await this.#uploads.close();
      await this.#cache.close();
    } finally {
      this.#server.close();
    }
  }

  /** Brings the small objects that are not on this machine; resolves to how many bytes they have. */
  async #bringSmall(digests: readonly Buffer[], watch: Watch): Promise<number> {
    const missing = await this.#cache.missing(digests);
    let [objects, total] = [0, 0];
    const take = async (bytes: Buffer): Promise<void> => {
      await this.#cache.put(bytes);
      total += bytes.length;
      watch.onProgress?.(++objects, total);
    };
    await this.#objects.bringSmall(missing, take, watch.signal);
    return total;
  }

  /** A record is untrusted, and must be the one that was asked for. */
  #decode({ name, record }: NamedRecord): ImageRecord {
    const place = this.#place(`the record of ${name}`);
    const image = decodeRecord(record, place);
    if (image.name === name) return image;
    throw new ImageUnpackerError('STORE_DAMAGED', `${place} is that of another image`, {
      path: this.location,
    });
  }

  #place(what: string): string {
    return `${this.location}: ${what}`;
  }
}

function encoded(record: ImageRecord): NamedRecord {
  return { name: record.name, record: encodeRecord(record) };
}
