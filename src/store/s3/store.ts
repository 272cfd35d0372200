import { createHash, randomBytes } from 'node:crypto';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { sha512 } from '../../image/digest.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import { checkStreamName } from '../../image/name.js';
import type { Limits } from '../../image/settable-limits.js';
import { DEFAULT_LIMITS } from '../../image/settable-limits.js';
import type { Watch } from '../../native.js';
import type { SourceKnowledge } from '../../source/tree.js';
import type { CacheOptions } from '../cache/cache.js';
import { ObjectCache } from '../cache/cache.js';
import { Uploads } from '../cache/uploads.js';
import type { Channel } from '../channel.js';
import { currentMove } from '../channel.js';
import { imageExists, imageUnknown } from '../image-error.js';
import { byAge } from '../record.js';
import { requireObjects } from '../require-objects.js';
import type {
  CreateOptions,
  FetchedObjects,
  ImageRecord,
  ObjectChecks,
  OnDamaged,
  RemoveOptions,
  Store,
  Stored,
} from '../store.js';
import type { Bucket } from './bucket.js';
import { S3Channels } from './channels.js';
import { Completeness } from './completeness.js';
import { S3DiskMaps } from './disk-maps.js';
import { CHANNELS, DISK_MAPS, objectKey } from './layout.js';
import { S3Lease } from './lease.js';
import { S3Objects } from './objects.js';
import { S3Records } from './records.js';
import { moveIfThere, removeImage } from './named-images.js';
import { S3UploadTarget } from './upload-target.js';

/** So many objects come at once; each has little in memory. */
const FETCHES_AT_ONCE = 32;
export interface S3StoreOptions {
  /** Whether to make the store if there is nothing below the prefix. */
  create?: boolean;
  signal?: AbortSignal | undefined;
  limits?: Limits | undefined;
  /** Where objects are kept on this machine. */
  cache: Omit<CacheOptions, 'signal'>;
  /** What the SDK is told besides what it finds out; for tests. */
  config?: S3ClientConfig | undefined;
}

/**
 * A store on S3 (layout.ts). Objects that were read, found or put stay until `close`: a lease is held from the first of
 * these calls on. Objects that are fetched are kept on this machine as well.
 */
export class S3Store implements Store {
  readonly location: string;
  readonly limits: Limits;
  readonly #bucket: Bucket;
  readonly #signal: AbortSignal | undefined;
  readonly #objects: S3Objects;
  readonly #uploads: Uploads;
  readonly #records: S3Records;
  readonly #channels: S3Channels;
  readonly #diskMaps: S3DiskMaps;
  readonly #completeness: Completeness;
  readonly #cache: ObjectCache;
  #lease: Promise<S3Lease> | undefined;
  #hasIncomplete = false;

  constructor(bucket: Bucket, { signal, limits = DEFAULT_LIMITS, cache }: S3StoreOptions) {
    this.location = bucket.location;
    this.limits = limits;
    this.#bucket = bucket;
    this.#signal = signal;
    this.#objects = new S3Objects(bucket);
    this.#cache = new ObjectCache({ ...cache, signal });
    const rescue = (digests: readonly Buffer[]): Promise<void> => this.#rescue(digests);
    this.#uploads = new Uploads(new S3UploadTarget(bucket, this.#objects, rescue), this.#cache);
    this.#records = new S3Records(bucket);
    this.#channels = new S3Channels(bucket);
    this.#diskMaps = new S3DiskMaps(bucket);
    this.#completeness = new Completeness(bucket, this.#objects);
  }

  async image(name: string): Promise<ImageRecord> {
    const found = await this.#records.read(name);
    if (found === undefined) throw await this.#unknown(name);
    if (await this.#completeness.isWhole(found.record)) return found.record;
    this.#hasIncomplete = true;
    const message = `Not all objects of the image ${name} have arrived in ${this.location} yet; wait for the replication of the bucket`;
    throw new ImageUnpackerError('IMAGE_UNKNOWN', message, { image: name });
  }

  async list(stream?: string, onDamaged?: OnDamaged): Promise<ImageRecord[]> {
    if (stream !== undefined) checkStreamName(stream);
    const records = await this.#records.list(stream, onDamaged);
    const whole = await this.#completeness.filter(records);
    if (whole.length < records.length) this.#hasIncomplete = true;
    return whole.sort(byAge);
  }

  async checkIsNew(name: string): Promise<void> {
    const there = await this.#records.find(name);
    if (there !== undefined && there.deleted === undefined) throw imageExists(this.location, name);
  }

  async create(record: ImageRecord, { reuseName = false }: CreateOptions = {}): Promise<void> {
    await this.checkIsNew(record.name);
    await (await this.#hold()).confirm();
    await this.#completeness.note(record);
    await this.#records.create(record, reuseName);
  }

  async replace(next: ImageRecord, expected: ImageRecord): Promise<void> {
    if (!(await this.#records.replace(next, expected))) throw await this.#unknown(next.name);
  }

  async remove(name: string, options: RemoveOptions = {}): Promise<void> {
    if (!(await removeImage(this.#records, this.#channels, name, options))) throw await this.#unknown(name);
  }

  async channels(stream?: string, onDamaged?: OnDamaged): Promise<Channel[]> {
    if (stream !== undefined) checkStreamName(stream);
    return this.#channels.list(stream, onDamaged);
  }

  async channel(stream: string, name: string): Promise<Channel | undefined> {
    return this.#channels.read(stream, name);
  }

  async replaceChannel(next: Channel, expected: Channel | undefined): Promise<void> {
    const { image } = currentMove(next);
    if (image !== null) await this.image(image);
    if (!(await moveIfThere(this.#records, this.#channels, next, expected)))
      throw await this.#unknown(image!);
  }

  async revision(): Promise<string> {
    const hash = createHash('sha256');
    for (const [name, etag] of await this.#records.versions()) hash.update(`${name} ${etag}\n`);
    for (const below of [CHANNELS, DISK_MAPS]) {
      for await (const { key, etag } of this.#bucket.list(below)) hash.update(`${key} ${etag}\n`);
    }
    // Whether more of their objects have arrived shows only when they are looked at again.
    if (this.#hasIncomplete) hash.update(randomBytes(16));
    return hash.digest('hex');
  }

  async diskMap(imageDigest: string, diskDigest: Buffer): Promise<DiskMap | undefined> {
    return this.#diskMaps.read(imageDigest, diskDigest);
  }

  async diskMaps(imageDigest: string): Promise<Buffer[]> {
    return this.#diskMaps.list(imageDigest);
  }

  async keepDiskMap(imageDigest: string, map: DiskMap): Promise<void> {
    await this.#diskMaps.keep(imageDigest, map);
  }

  /** The size of each object in bytes; undefined of one that is not there. */
  async sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    await this.#rescue(digests);
    return this.#objects.sizes(digests);
  }

  /** The bytes of an object from `start` on, up to `end`, NOT verified. */
  async *part(digest: Buffer, start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    await this.#hold();
    yield* this.#objects.part(digest, start, end);
  }

  async has(digests: readonly Buffer[]): Promise<boolean[]> {
    return (await this.sizes(digests)).map(size => size !== undefined);
  }

  async read(digest: Buffer, limit: number): Promise<Buffer> {
    const [bytes] = await this.readMany([digest], limit);
    return bytes!;
  }

  async readMany(digests: readonly Buffer[], limit: number): Promise<Buffer[]> {
    await this.#hold();
    return this.#objects.readMany(digests, limit);
  }

  async *stream(digest: Buffer): AsyncGenerator<Buffer, void, undefined> {
    await this.#hold();
    yield* this.#objects.stream(digest);
  }

  async put(bytes: Buffer): Promise<Stored> {
    const digest = sha512(bytes);
    await this.#rescue([digest]);
    return this.#objects.put(bytes, digest);
  }

  async putStream(chunks: AsyncIterable<Buffer>): Promise<Stored> {
    await this.#hold();
    return this.#failing(() => this.#uploads.putStream(chunks));
  }

  async ingest(root: number, files: Buffer, watch: Watch): Promise<Buffer> {
    await this.#hold();
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
    await this.#hold();
    return this.#objects.check(digests, watch);
  }

  /** What is damaged is removed at once, after it was read twice: so it is stored anew when it comes again. */
  async noteDamage(digests: readonly Buffer[]): Promise<void> {
    await this.#hold();
    const { faults } = await this.#objects.check(digests, {});
    const damaged = faults.filter(({ state }) => state === 'damaged').map(({ digest }) => digest);
    for (const { digest } of (await this.#objects.check(damaged, {})).faults)
      await this.#bucket.delete(objectKey(digest));
  }

  async fetch(digests: readonly Buffer[], watch: Watch): Promise<FetchedObjects> {
    await this.#hold();
    const bring = (digest: Buffer): AsyncIterable<Buffer> => this.#objects.stream(digest);
    try {
      return await this.#cache.fetch(digests, bring, FETCHES_AT_ONCE, watch);
    } catch (reason) {
      if (!(reason instanceof ImageUnpackerError) || reason.code !== 'STORE_DAMAGED') throw reason;
      // All of them are to be named.
      const unique = [...new Map(digests.map(digest => [digest.toString('latin1'), digest])).values()];
      requireObjects(this.location, (await this.#objects.check(unique, { signal: watch.signal })).faults);
      throw reason;
    }
  }

  async close(): Promise<void> {
    const lease = await this.#lease?.catch(() => undefined);
    this.#lease = undefined;
    try {
      await this.#uploads.close();
      await this.#cache.close();
      await lease?.end();
    } finally {
      this.#bucket.close();
    }
  }

  /** Keeps the objects from being deleted until `close`. */
  async #hold(): Promise<S3Lease> {
    this.#lease ??= (async () => {
      const lease = new S3Lease(this.#bucket, this.#signal);
      await lease.begin();
      return lease;
    })();
    return this.#lease;
  }

  async #rescue(digests: readonly Buffer[]): Promise<void> {
    await (await this.#hold()).rescue(digests);
  }

  async #unknown(name: string): Promise<ImageUnpackerError> {
    const list = async (stream?: string): Promise<string[]> =>
      (await this.#records.list(stream)).map(record => record.name);
    return imageUnknown({ location: this.location, list }, name);
  }

  async #failing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (reason) {
      const { location } = this;
      throw ImageUnpackerError.from(reason, `Cannot store an object in the store ${location}`, {
        path: location,
      });
    }
  }
}
