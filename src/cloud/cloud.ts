import type { DiskMap } from '../image/disk-map.js';
import type { ProgressUnit } from '../image/progress.js';

/*
 * What a publisher needs of a place that images are published to: a directory, or one account and region
 * of a cloud. A *disk* is what holds the bytes (a file; a snapshot of EBS), an *image* is a disk that is
 * registered under a name with tags (a record; an AMI). Whoever uses an image sees all of it or none: a disk
 * without an image is invisible, and tags come with the registration.
 *
 * Every call may be repeated after it was interrupted or its answer was lost: what was made is found again by
 * the id or by the token, and made once.
 */

/** Tags by key. What a cloud allows: 50 of them, keys of 1 to 128 characters, values of at most 256. */
export type Tags = Readonly<Record<string, string>>;

/** The keys that a publisher writes itself. */
export const TAG = {
  name: 'Name',
  expiresAt: 'ExpiresAt',
  preferred: 'Preferred',
  stream: 'Stream',
  imageName: 'ImageName',
  imageDigest: 'ImageDigest',
  diskDigest: 'DiskDigest',
  run: 'Run',
  preferredBefore: 'PreferredBefore',
} as const;

/** How many tags a cloud may need for itself. */
export const CLOUD_TAGS = 4;

/** What a machine has to be told of a disk to boot from it, in the words of clouds. */
export interface DiskBoot {
  readonly architecture: string;
  readonly bootMode: string;
  /** What the disk is called there. */
  readonly rootDevice: string;
}

/** An image that is registered. */
export interface PublishedImage {
  readonly id: string;
  readonly diskId: string;
  /** Of the disk, in bytes. */
  readonly diskSize: bigint;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly tags: Tags;
  /** Left out when its disk does not boot. */
  readonly boot?: DiskBoot | undefined;
  /** The file of the disk, where disks are files. */
  readonly path?: string | undefined;
  /** What is wrong with its disk, if anything is: it cannot be used then. */
  readonly fault?: ImageFault | undefined;
}

/** What is wrong with the disk of an image. */
export interface ImageFault {
  /** Whether there is no disk any more; else it is another than the one that was published. */
  readonly gone: boolean;
  readonly message: string;
}

/** The disk of an image from which the next one of its stream is made. */
export interface ParentDisk {
  readonly image: PublishedImage;
  readonly map: DiskMap;
}

/** The content of a disk that is to be made. */
export interface DiskContent {
  readonly map: DiskMap;
  /**
   * The blocks with these numbers, ascending, whole and verified against the map. It is called at most once,
   * and what it gives is read to its end or returned.
   */
  blocks(numbers: readonly number[]): AsyncIterable<Buffer>;
}

/** Which blocks of a disk have arrived, for as long as it is not whole. */
export interface SentBlocks {
  has(diskId: string, number: number): boolean;
  add(diskId: string, number: number): void;
  /** What was added lasts when it resolves. */
  flush(): Promise<void>;
}

/** What the disks of images hold, kept where the images come from. */
export interface DiskMaps {
  /** The map of a disk, by the tags of its image and the disk's digest in hex; undefined when it is not kept. */
  find(tags: Tags, digest: string): Promise<DiskMap | undefined>;
  /** Keeps what the disk of an image with these tags holds. */
  keep(tags: Tags, map: DiskMap): Promise<void>;
}

/** A disk that is to be made. */
export interface DiskRequest {
  /** What is made under one token is one disk, however often it is asked for. */
  readonly token: string;
  readonly content: DiskContent;
  /** Where what is not sent comes from. It is not used if it is of no use any more. */
  readonly parent: ParentDisk | undefined;
  /** Of the disk; an image gets its own at `register`. */
  readonly tags: Tags;
  /** What an image of the disk tells machines; left out when it does not boot. */
  readonly boot?: DiskBoot | undefined;
  /** What of it has arrived before, where that is kept. */
  readonly sent?: SentBlocks | undefined;
}

/** An image that a target unpacks itself. */
export interface ImageDiskRequest {
  /** What is made under one token is one disk, however often it is asked for. */
  readonly token: string;
  readonly image: { readonly name: string; readonly digest: string; readonly bytes: bigint };
  /** Of the disk; an image gets its own at `register`. */
  readonly tags: Tags;
}

/** A disk that was made by unpacking an image there. */
export interface UnpackedDisk {
  readonly id: string;
  /** Blocks of the volume that were written to, where that is known. */
  readonly blocksWritten: number | null;
  /** The digest of the disk in hex, where all that it holds is known. */
  readonly digest: string | undefined;
}

/** What a target that unpacks an image itself would do it with. */
export interface UnpackOutlook {
  /** The machine that would unpack it, and whether it runs now. */
  readonly unpacker: string;
  readonly runs: boolean;
  /** The volume that it would be unpacked to; undefined for one that is to be made. */
  readonly volume: string | undefined;
  /** GiB that the volume has now, 0 where there is none, and would have then. */
  readonly size: number;
  readonly sizeThen: number;
  /** When the volume was changed last, RFC 3339, where it would have to grow so soon after that it might be refused. */
  readonly changedAt: string | undefined;
  /** The digest of the image that is on the volume, where its agent tells. */
  readonly digest: string | undefined;
}

/** How a target that unpacks an image itself tells what it is at. */
export interface UnpackDiskOptions {
  signal?: AbortSignal | undefined;
  /** Told of each part of the work, which it calls. */
  stage: RunStage;
  /** Told what people should know. */
  note: (message: string) => void;
}

/** Does a part of the work, which tells how far it is. */
export type RunStage = <T>(
  stage: 'unpacker' | 'volume' | 'unpack' | 'snapshot',
  work: (progress: TellProgress) => Promise<T>,
) => Promise<T>;
export type TellProgress = (
  what: string,
  done: number,
  total: number | null,
  unit: ProgressUnit | null,
) => void;

/** A disk that was made and is durable. */
export interface CreatedDisk {
  readonly id: string;
  /** Blocks that differ from the parent's, be it that they are zeros now; without a parent, all that are not zeros. */
  readonly blocksSent: number;
  /** The disk that it was really made from. */
  readonly parentId: string | undefined;
}

/** A disk that is of no image. */
export interface UnfinishedDisk {
  readonly id: string;
  readonly tags: Tags;
  /** When it was begun, RFC 3339, where somebody may still be at work on it without being known here. */
  readonly since?: string | undefined;
}

/** What may use an image. */
export type ImageUserKind =
  'instance' | 'launch-template' | 'auto-scaling-group' | 'launch-configuration' | 'parameter';

/** Something that uses an image, or starts machines of it. */
export interface ImageUse {
  readonly imageId: string;
  readonly kind: ImageUserKind;
  /** What is using it, by its id or name. */
  readonly id: string;
  /** More about it, for people: its state, or which version of it. */
  readonly detail?: string | undefined;
  /** Of a machine: when it was started, RFC 3339, and its tags. */
  readonly since?: string | undefined;
  readonly tags?: Tags | undefined;
}

/** Who may start machines of an image besides those whose it is. */
export interface ImageSharing {
  readonly imageId: string;
  readonly accounts: readonly string[];
  /** Those that are no account: organisations, units of them, `everybody`. */
  readonly others: readonly string[];
}

/** Where an id means the same image, whoever uses it: an account and a region. */
export interface CloudPlace {
  readonly account: string;
  readonly region: string;
}

/** Which uses are looked for. */
export interface UseOptions extends CloudCallOptions {
  /** Every version of every launch template counts, not only those that something names. */
  allVersions?: boolean | undefined;
}

/** An image whose disk the next one of its stream can be made from. */
export interface ParentProspect {
  readonly image: PublishedImage;
  /** In how many seconds it can be a parent, as far as can be told. */
  readonly readyInSeconds: number;
}

/** What was found of something that publishing needs, without anything being changed. */
export interface PreflightCheck {
  /** The call that is made, or what there may be so much of. */
  readonly check: string;
  readonly kind: 'permission' | 'quota';
  /**
   * `ok`: proved. `likely`: nothing was found against it, which does not prove all of it. `unknown`: only doing it
   * tells. `failed`: publishing would fail.
   */
  readonly state: 'ok' | 'likely' | 'unknown' | 'failed';
  readonly message: string;
}

/** What is looked at before an image is published. */
export interface PreflightRequest {
  /** Of the image. */
  readonly stream: string;
  /** How much of each kind there may be: `images`, `snapshots`, `pendingSnapshots`. */
  readonly quotas: Readonly<Record<'images' | 'snapshots' | 'pendingSnapshots', number>>;
}

/** How a call is watched and stopped. */
export interface CloudCallOptions {
  signal?: AbortSignal | undefined;
  /** Told how many bytes of how many are done. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A place that images are published to. */
export interface CloudTarget {
  /**
   * The images, oldest first, that have all of these tags. Images that cannot be used are among them, with
   * their fault.
   */
  images(tags?: Tags, options?: CloudCallOptions): Promise<PublishedImage[]>;
  /** The newest image of the stream whose disk can be the parent of one of `size` bytes, or of any size. */
  parent(stream: string, size?: bigint, options?: CloudCallOptions): Promise<PublishedImage | undefined>;
  /** The images that can be parents, newest first, with what is known of when; where that is not at once. */
  prospects?(stream: string, options?: CloudCallOptions): Promise<ParentProspect[]>;
  /** Looks whether an image could be published, and changes nothing; where that can be told. */
  preflight?(request: PreflightRequest, options?: CloudCallOptions): Promise<PreflightCheck[]>;
  /** What the disk of an image held when it was published. Throws `STATE_DAMAGED` when that is not known. */
  map(imageId: string, options?: CloudCallOptions): Promise<DiskMap>;
  /** Makes a disk. Throws `NO_SPACE`, `NO_PERMISSION`, `DEVICE_FAILED`, `CANCELLED`; what was begun may stay. */
  createDisk(request: DiskRequest, options?: CloudCallOptions): Promise<CreatedDisk>;
  /**
   * Has an image unpacked there and makes a disk of that, in targets that do so; `createDisk` is not used then. Throws
   * as that, and what the unpacker says.
   */
  unpackDisk?(request: ImageDiskRequest, options: UnpackDiskOptions): Promise<UnpackedDisk>;
  /** Looks with what `unpackDisk` would unpack an image of so many bytes, and changes nothing. Throws where it could not. */
  unpackOutlook?(stream: string, bytes: bigint, options?: CloudCallOptions): Promise<UnpackOutlook>;
  /** Makes a disk an image, with its tags, all at once. A disk that is one already is left as it is. */
  register(diskId: string, tags: Tags, options?: CloudCallOptions): Promise<PublishedImage>;
  /** Reads all of an image's disk; what it holds really. Throws `VOLUME_DAMAGED` when it is no disk any more. */
  readBack(imageId: string, options?: CloudCallOptions): Promise<DiskMap>;
  /** What of an image is not as its target makes images, for people; where targets have settings. */
  inspect?(imageId: string, options?: CloudCallOptions): Promise<string[]>;
  /** Where others use the images that are shared with them; where images can be shared. */
  readonly place?: CloudPlace | undefined;
  /**
   * What uses these images here, whosever images they are; where that can be known. It is all of it, or it throws: what
   * cannot be looked at is no proof that nothing uses them.
   */
  uses?(imageIds: readonly string[], options?: UseOptions): Promise<ImageUse[]>;
  /** Whom these images are shared with; those that are shared with nobody are left out. */
  sharing?(imageIds: readonly string[], options?: CloudCallOptions): Promise<ImageSharing[]>;
  /**
   * Points what names the preferred image of a stream to an image, and what names the one before it to the one that was;
   * where there is such a thing. It is so when it resolves.
   */
  prefer?(image: PublishedImage, before: string | undefined, options?: CloudCallOptions): Promise<void>;
  /** Sets some tags of an image and its disk, and removes others, all at once. Throws `IMAGE_UNKNOWN`. */
  setTags(
    imageId: string,
    set: Tags,
    remove: readonly string[],
    options?: CloudCallOptions,
  ): Promise<PublishedImage>;
  /** Removes an image and its disk. One that is not there is no error. */
  remove(imageId: string, options?: CloudCallOptions): Promise<void>;
  /** Disks of no image, whole or not, which publishers left that are no longer at work; with their tags. */
  unfinished(options?: CloudCallOptions): Promise<UnfinishedDisk[]>;
  /** Removes a disk that is of no image. One that is not there is no error. */
  removeDisk(diskId: string, options?: CloudCallOptions): Promise<void>;
  close(): Promise<void>;
}
