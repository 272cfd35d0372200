import type { DiskMap } from '../image/disk-map.js';
import type { ImageUnpackerError } from '../image/error.js';
import type { SparseForms } from '../image/sparse-form.js';
import type { Limits } from '../image/settable-limits.js';
import type { Watch } from '../native.js';
import type { SourceKnowledge } from '../source/tree.js';
import type { Channel } from './channel.js';
import type { FileData } from './derivable.js';
import type { ManifestReader } from './manifest-reader.js';

/** What is kept of an image beside its content. Times are RFC 3339, digests hex. */
export interface ImageRecord {
  name: string;
  /** SHA-512 of the manifest's index. */
  digest: string;
  createdAt: string;
  /** Null for an image that never expires. */
  expiresAt: string | null;
  entries: number;
  /** Sum of file sizes, hard links counted once. */
  bytes: bigint;
  tags: Readonly<Record<string, string>>;
  /** Further objects kept with the image (build log, package list …), by what they are: their digests. */
  annotations: Readonly<Record<string, string>>;
}

/** Objects that lie on this machine as files, each of them read and found to be what its name says. */
export interface FetchedObjects {
  /** An open directory that holds them as `ab/abcd…`, by their digests in hex, and all else that the store has fetched. */
  readonly directory: number;
  /** Bytes that had to be brought from elsewhere; 0 when the store is on this machine. */
  readonly bytesFetched: number;
  /** The size of each in bytes, in the order asked. */
  readonly sizes: readonly number[];
  /** The sparse forms of those that have blocks of zeros; of some, at the least. */
  readonly sparse: SparseForms;
  /** Gives the descriptor back; the files may go then. */
  close(): Promise<void>;
}

/**
 * Objects and images by digest and name. Whatever is read is hashed before it is handed out: an object
 * that is not what its digest says is `STORE_DAMAGED` with the digest, and is never used.
 */
export interface Store {
  /** Where the store is, as the user named it. */
  readonly location: string;
  /** What the images that are read of it may have at most. */
  readonly limits: Limits;

  /** The image of that name. Throws `IMAGE_UNKNOWN` (naming the nearest), `STORE_DAMAGED`. */
  image(name: string): Promise<ImageRecord>;
  /**
   * All images, or those of one stream (not of streams below it), oldest first. One whose record is damaged is told to
   * `onDamaged` and left out; without that it throws `STORE_DAMAGED`.
   */
  list(stream?: string, onDamaged?: OnDamaged): Promise<ImageRecord[]>;
  /** Throws `IMAGE_EXISTS` if the name is taken. */
  checkIsNew(name: string): Promise<void>;
  /**
   * Makes an image known, durably; everything it names must be stored already. Throws `IMAGE_EXISTS`, and
   * `IMAGE_DELETED` when an image with other content that had this name was deleted, unless it may be used again.
   */
  create(record: ImageRecord, options?: CreateOptions): Promise<void>;
  /**
   * Replaces, durably, what is kept of an image by something that differs in its expiry and tags only, if it is still
   * `expected`. Throws `IMAGE_CHANGED` if not, `IMAGE_UNKNOWN`. Who may do what is the caller's to check (change-image.ts).
   */
  replace(next: ImageRecord, expected: ImageRecord): Promise<void>;
  /**
   * Forgets an image, durably; what it was is remembered for its name. Its objects stay until they are collected.
   * Throws `IMAGE_UNKNOWN`, `IMAGE_IN_USE` when a channel names it, `IMAGE_CHANGED`.
   */
  remove(name: string, options?: RemoveOptions): Promise<void>;

  /**
   * All channels, or those of one stream, by their names; those that were taken away are left out. One that is damaged is
   * told to `onDamaged`, as `STREAM/NAME`, and left out; without that it throws `STORE_DAMAGED`.
   */
  channels(stream?: string, onDamaged?: OnDamaged): Promise<Channel[]>;
  /** A channel, be it taken away or not; undefined if there never was one. Throws `STORE_DAMAGED`. */
  channel(stream: string, name: string): Promise<Channel | undefined>;
  /**
   * Replaces a channel as a whole, durably, if it is still `expected`; one that is damaged counts as whatever is expected.
   * Throws `CHANNEL_CHANGED` if it is not, `IMAGE_UNKNOWN` when the image that it names from now on is not there.
   */
  replaceChannel(next: Channel, expected: Channel | undefined): Promise<void>;

  /**
   * What is another text whenever an image was made, changed or removed, a channel moved, or a disk map kept since it
   * was last asked for; now and then it is another one though nothing has changed.
   */
  revision(): Promise<string>;
  /** The revision, at once and whenever it has changed, until the signal is aborted. A store that has to be asked has it not. */
  watchRevision?(signal: AbortSignal): AsyncIterable<string>;
  /**
   * What is otherwise than at `since`, which an earlier call told; all, if it cannot be told from there. A store of which all
   * has to be read for that has it not.
   */
  changes?(since: ChangePosition | undefined): Promise<StoreChanges>;

  /**
   * The map of a disk that was made of the image with this digest (hex), by the digest of the disk; undefined if none is
   * kept. What it resolves to is that disk's map. Throws `STORE_DAMAGED`.
   */
  diskMap(imageDigest: string, diskDigest: Buffer): Promise<DiskMap | undefined>;
  /** The digests of all disks of that image whose maps are kept, sorted. */
  diskMaps(imageDigest: string): Promise<Buffer[]>;
  /**
   * Keeps the map of a disk beside the image it was made of, durably, until no image with that digest is left and
   * the store is collected. To keep it again does nothing, and mends one that is damaged. Throws `LIMIT_EXCEEDED`.
   */
  keepDiskMap(imageDigest: string, map: DiskMap): Promise<void>;

  /** Which of the objects are stored, in the order asked. */
  has(digests: readonly Buffer[], options?: HasOptions): Promise<boolean[]>;
  /** A whole object of at most `limit` bytes: a page or an index. */
  read(digest: Buffer, limit: number): Promise<Buffer>;
  /** The same of many objects, in the order asked; all of them are in memory at once. */
  readMany(digests: readonly Buffer[], limit: number): Promise<Buffer[]>;
  /** The bytes of an object; the last chunk comes only when all of them have the right digest. */
  stream(digest: Buffer): AsyncIterable<Buffer>;
  /**
   * Stores bytes under their digest; an object that is there and damaged is mended. It need not be durable before
   * `create` has returned.
   */
  put(bytes: Buffer): Promise<Stored>;
  /**
   * `put` of small objects together; resolves to which of them were not there. Throws `USAGE` when one has another digest than
   * is said. A store that gains nothing by it has it not.
   */
  putMany?(objects: readonly SmallObject[]): Promise<boolean[]>;
  /** The same as `put` for bytes that come bit by bit, but an object of that size that is there is relied on. */
  putStream(chunks: AsyncIterable<Buffer>): Promise<Stored>;
  /**
   * The same for the data of files beneath the open directory `root`, read once: takes packed files, and
   * resolves to their digests and what became of each (native/ingest.cc). A file whose data is known is not
   * read if that object is stored, as far as its size tells. Rejects with a `NativeError` about a file that
   * cannot be read, `ESTALE` for one that is no longer as it was scanned.
   */
  ingest(root: number, files: Buffer, watch: Watch): Promise<Buffer>;
  /**
   * Told of an image here that `ingest` is likely to meet most files of: what differs in its holes only need not be sent. A store
   * that gains nothing by it has it not.
   */
  basedOn?(base: ManifestReader): void;
  /**
   * Stores the object of a file that differs from another one, whose object is there, in nothing but its holes. Resolves to whether it
   * is there now: else it has to be stored otherwise. A store that gains nothing by it has it not.
   */
  derive?(wanted: FileData, found: FileData, signal?: AbortSignal): Promise<boolean>;
  /** Reads and hashes objects. */
  check(digests: readonly Buffer[], watch: Watch): Promise<ObjectChecks>;
  /**
   * Takes note of objects that were found to be damaged: before anything is stored the next time, they are looked at
   * again, and removed if they are, so that they are stored anew. Throws `NO_PERMISSION` when the store cannot be
   * written to.
   */
  noteDamage(digests: readonly Buffer[]): Promise<void>;
  /** Makes objects files of this machine, each verified. Throws `STORE_DAMAGED` naming all that are not good. */
  fetch(digests: readonly Buffer[], watch: Watch): Promise<FetchedObjects>;
  /** What `remember` kept of a source (source/known-files.ts); undefined if it kept nothing. It may be damaged or out of date. */
  recall?(source: string): Promise<Buffer | undefined>;
  /** Keeps what is known of a source, for whoever reads it next. A store that cannot has neither of the two. */
  remember?(knowledge: SourceKnowledge): Promise<void>;
  /** Ends the use of the store. */
  close(): Promise<void>;
}

/** Told of what cannot be read: its name, and why. */
export type OnDamaged = (name: string, error: ImageUnpackerError) => void;

/** Up to where the changes of a store were told: a number that only grows, in the life of what tells them. */
export interface ChangePosition {
  teller: string;
  number: number;
}

/** What a thing is by now: undefined when it has gone, an error when it is there and cannot be read. */
export type Changed<T> = T | ImageUnpackerError | undefined;

/** What has changed. */
export interface StoreChanges {
  position: ChangePosition;
  /** Whether it is all there is: what is not told of is not there. */
  isWhole: boolean;
  /** By the names of images. */
  images: Map<string, Changed<ImageRecord>>;
  /** By `STREAM/NAME`. */
  channels: Map<string, Changed<Channel>>;
  /** The digests of disks whose maps are kept, by the digests of their images in hex. */
  diskMaps: Map<string, readonly Buffer[]>;
}

/** An object that is in memory. */
export interface SmallObject {
  digest: Buffer;
  bytes: Buffer;
}

export interface HasOptions {
  /** Whether it is asked what need not be stored: some servers want all content, to compare it with what they have. */
  toStore?: boolean;
}

export interface CreateOptions {
  /** Whether a name may be used again that an image with other content had. */
  reuseName?: boolean;
}

export interface RemoveOptions {
  /** The image is only removed if it is still this one. */
  expected?: ImageRecord;
  /** Whether an image is removed that a channel names. */
  force?: boolean;
}

/** What objects were found to be. */
export interface ObjectChecks {
  /** Those that are not good, in the order asked. */
  faults: ObjectFault[];
  /** The size of each in bytes, in the order asked; 0 of one that is missing. */
  sizes: number[];
}

/** An object that a store should have and cannot give. */
export interface ObjectFault {
  digest: Buffer;
  state: 'missing' | 'damaged';
}

/** An object that is in memory. */
export interface SmallObject {
  digest: Buffer;
  bytes: Buffer;
}

/** An object that was put into a store. */
export interface Stored {
  digest: Buffer;
  size: number;
  /** Whether the store had it not. */
  added: boolean;
}
