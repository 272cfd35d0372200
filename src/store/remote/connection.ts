import type { Watch } from '../../native.js';
import type { FileData } from '../derivable.js';
import type { ChangePosition, RemoveOptions, SmallObject } from '../store.js';
import type { FrameState } from './frames.js';

/** An answer of a batch: the bytes of an object, or why there are none. */
export type ObjectAnswer = { state: 'good'; bytes: Buffer } | { state: Exclude<FrameState, 'good'> };

/** Gives the bytes of an object from an offset on. */
export type OpenObject = (start: number) => AsyncGenerator<Buffer>;

/** A record, and what it is of. */
export interface NamedRecord {
  name: string;
  record: Buffer;
}

/** What has changed, as it was told. */
export interface RecordChanges {
  position: ChangePosition;
  isWhole: boolean;
  changes: {
    kind: 'image' | 'channel' | 'diskMaps';
    name: string;
    record?: Buffer | undefined;
    damage?: string | undefined;
  }[];
}

export interface ChannelRecord extends NamedRecord {
  stream: string;
}

/**
 * An image server, as far as a store needs it. Records are as stores keep them, and nothing of what comes is checked here
 * but that it has the form of an answer. Each call ends within its time, and throws what the server said.
 */
export interface ServerConnection {
  /** Where it is, as users name it. */
  readonly location: string;

  revision(): Promise<string>;
  /** The revision, at once and whenever it has changed, until the signal is aborted. */
  watchRevision(signal: AbortSignal): AsyncIterable<string>;
  changes(since: ChangePosition | undefined): Promise<RecordChanges>;
  image(name: string): Promise<Buffer>;
  images(stream?: string): Promise<NamedRecord[]>;
  createImage(image: NamedRecord, reuseName: boolean): Promise<void>;
  replaceImage(image: NamedRecord, expected: Buffer): Promise<void>;
  deleteImage(
    name: string,
    options: Pick<RemoveOptions, 'force'> & { expected?: Buffer | undefined },
  ): Promise<void>;
  channels(stream?: string): Promise<ChannelRecord[]>;
  channel(stream: string, name: string): Promise<Buffer | undefined>;
  /** `expected` is the SHA-512 of the record that is to be replaced. */
  replaceChannel(channel: ChannelRecord, expected: Buffer | undefined): Promise<void>;

  /** The digests of the disks, in a row. */
  diskMaps(image: Buffer): Promise<Buffer>;
  /** A map as it is kept; undefined if there is none. */
  diskMap(image: Buffer, disk: Buffer): Promise<Buffer | undefined>;
  keepDiskMap(image: Buffer, disk: Buffer, map: Buffer): Promise<void>;

  /**
   * The size of each object in bytes; undefined of one that is not there, or, unless they are wanted `toRead`, has to be sent
   * all the same. Of any number of objects.
   */
  sizes(digests: readonly Buffer[], toRead: boolean): Promise<(number | undefined)[]>;
  /** What the server finds when it reads and hashes them: state and size of each. */
  check(
    digests: readonly Buffer[],
    watch: Watch,
  ): Promise<{ state: 'good' | 'missing' | 'damaged'; size: number }[]>;
  reportDamage(digests: readonly Buffer[]): Promise<void>;

  /** The bytes of an object from `start` on, NOT verified. Throws `STORE_DAMAGED` when it is missing. */
  object(digest: Buffer, start: number): AsyncIterable<Buffer>;
  /** As many objects as travel together, in the order asked, NOT verified; none of more than `limit` bytes. */
  objects(digests: readonly Buffer[], limit: number): Promise<ObjectAnswer[]>;
  /** Sends objects together; resolves to which of them were not there. */
  sendObjects(objects: readonly SmallObject[]): Promise<boolean[]>;
  /**
   * Sends a large object, and carries on where it was after an interruption; `open` gives its bytes from an offset on, of which
   * each piece is good until the next one is asked for.
   */
  sendObject(digest: Buffer, size: number, open: OpenObject): Promise<boolean>;
  /** Has the server make the object of a file of that of another one, as `Store.derive` does; whether it has done so. */
  deriveObject(wanted: FileData, found: FileData): Promise<boolean>;

  close(): void;
}
