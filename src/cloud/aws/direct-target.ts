import { createHash } from 'node:crypto';
import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { diskDigest } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import type {
  CloudCallOptions,
  CloudPlace,
  CloudTarget,
  CreatedDisk,
  DiskMaps,
  DiskRequest,
  ImageSharing,
  ImageUse,
  ParentProspect,
  PreflightCheck,
  PreflightRequest,
  PublishedImage,
  Tags,
  UnfinishedDisk,
  UseOptions,
} from '../cloud.js';
import { TAG } from '../cloud.js';
import type { ParentCandidate } from './choose-parent.js';
import type { BegunDisk, DiskWork } from './create-disk.js';
import { beginDisk, fillDisk } from './create-disk.js';
import type { EncryptionKey } from './encryption.js';
import { findKey, isEncryptedWith } from './encryption.js';
import { findParents } from './find-parents.js';
import { findImage, findImages, findSnapshot, findSnapshots, imagesOfSnapshot } from './find.js';
import { finishImage } from './finish-image.js';
import { findSharing, findUses } from './find-uses.js';
import { inspectImage } from './inspect-image.js';
import type { NamedImage } from './name-images.js';
import { nameAsPreferred, nameNoMore } from './name-images.js';
import type { UnpackerSample } from './preflight.js';
import { preflight } from './preflight.js';
import { parentProspects } from './prospects.js';
import { publishedImage } from './published-image.js';
import { readSnapshot } from './read-snapshot.js';
import { registerImage } from './register-image.js';
import { deleteSnapshot, deregisterImage, unfinishedDisks } from './remove.js';
import type { AwsSession } from './session.js';
import { setImageTags } from './set-tags.js';
import type { AwsImageSettings } from './settings.js';
import type { DiskFacts } from './tags.js';
import { decodeFacts, DISK_FACTS, fromTagList, PUBLISH_TOKEN, UNFINISHED } from './tags.js';

const TOKEN_DIGITS = 32;

/** What an account and region is used as a target with. */
export interface DirectTargetOptions {
  readonly session: AwsSession;
  readonly settings: AwsImageSettings;
  /** What disks hold that were published. */
  readonly maps: DiskMaps;
  /** What it is called: `production/us-east-1`. */
  readonly target: string;
}

/** An account and region of AWS, to which disks are written block by block (EBS direct). */
export class DirectTarget implements CloudTarget {
  readonly #session: AwsSession;
  readonly #settings: AwsImageSettings;
  readonly #maps: DiskMaps;
  readonly #target: string;

  constructor({ session, settings, maps, target }: DirectTargetOptions) {
    this.#session = session;
    this.#settings = settings;
    this.#maps = maps;
    this.#target = target;
  }

  async images(tags: Tags = {}, { signal }: CloudCallOptions = {}): Promise<PublishedImage[]> {
    const images = await findImages(this.#session, tags, { signal });
    return images
      .filter(({ Tags: list }) => fromTagList(list)[UNFINISHED] === undefined)
      .map(publishedImage)
      .filter(image => image !== undefined)
      .sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt) || (a.id < b.id ? -1 : 1));
  }

  async parent(
    stream: string,
    size?: bigint,
    options: CloudCallOptions = {},
  ): Promise<PublishedImage | undefined> {
    const images = await this.images({ [TAG.stream]: stream }, options);
    return images.findLast(
      ({ fault, diskSize }) => fault === undefined && (size === undefined || diskSize === size),
    );
  }

  async prospects(stream: string, options: CloudCallOptions = {}): Promise<ParentProspect[]> {
    const key = await findKey(this.#session, this.#settings, this.#target, options);
    const images = await this.images({ [TAG.stream]: stream }, options);
    return parentProspects(this.#session, { stream, images, key, maps: this.#maps }, options);
  }

  preflight(request: PreflightRequest, options: CloudCallOptions = {}): Promise<PreflightCheck[]> {
    return this.preflightWith(request, undefined, options);
  }

  /** Looks whether an image could be published: block by block, or with an unpacker if that is told. */
  protected preflightWith(
    request: PreflightRequest,
    unpacker: UnpackerSample | undefined,
    options: CloudCallOptions,
  ): Promise<PreflightCheck[]> {
    const [settings, target] = [this.#settings, this.#target];
    return preflight(this.#session, { ...request, settings, target, unpacker }, options);
  }

  async map(imageId: string, options: CloudCallOptions = {}): Promise<DiskMap> {
    const image = await this.#require(imageId, options);
    const map = await this.#mapOf(fromTagList(image.Tags));
    if (map !== undefined) return map;
    const message = `What the disk of ${imageId} in ${this.#target} holds is not kept in the store`;
    throw new ImageUnpackerError('STATE_DAMAGED', message, { target: this.#target });
  }

  async createDisk(request: DiskRequest, options: CloudCallOptions = {}): Promise<CreatedDisk> {
    const { signal } = options;
    const { map } = request.content;
    const key = await findKey(this.#session, this.#settings, this.#target, { signal });
    const token = createHash('sha256').update(request.token).digest('hex').slice(0, TOKEN_DIGITS);
    await this.#maps.keep(request.tags, map);
    const candidates = await this.#candidates(request, key, options);
    const [session, target] = [this.#session, this.#target];
    const work: DiskWork = { session, key, target, request, token, candidates, options };
    const begun = await this.#begun(work);
    if (begun?.done === true)
      return { id: begun.snapshot.SnapshotId!, blocksSent: 0, parentId: begun.parentId };
    return fillDisk(work, begun ?? (await beginDisk(work)));
  }

  /** What an interrupted call under the same token has left: a whole disk, or one to go on with. */
  async #begun(
    work: DiskWork,
  ): Promise<
    | (BegunDisk & { done: false })
    | { done: true; snapshot: Snapshot; parentId: string | undefined }
    | undefined
  > {
    const { signal } = work.options;
    const digest = diskDigest(work.request.content.map).toString('hex');
    for (const snapshot of await findSnapshots(this.#session, { [PUBLISH_TOKEN]: work.token }, { signal })) {
      const id = snapshot.SnapshotId!;
      const facts = decodeFacts(fromTagList(snapshot.Tags)[DISK_FACTS]);
      const fits = facts?.digest === digest && snapshot.State !== 'error';
      if (fits && snapshot.State === 'completed') {
        if (isEncryptedWith(snapshot, work.key))
          return { done: true, snapshot, parentId: facts.parent?.snapshotId };
      } else if (fits) {
        const parent = await this.#parentOf(facts, work.request.tags);
        if (parent !== 'unknown') return { done: false, snapshot, parent };
      }
      await this.removeDisk(id, work.options);
    }
    return undefined;
  }

  async #parentOf(facts: DiskFacts, tags: Tags): Promise<ParentCandidate | undefined | 'unknown'> {
    if (facts.parent === undefined) return undefined;
    const { snapshotId, digest } = facts.parent;
    const images = await this.images({ [TAG.diskDigest]: digest }, {});
    const of = images.find(({ diskId }) => diskId === snapshotId);
    const map = await this.#mapOf({ ...tags, ...of?.tags, [TAG.diskDigest]: digest });
    return map === undefined ? 'unknown' : { snapshotId, digest, map, completedAt: 0 };
  }

  async #candidates(
    { parent, content }: DiskRequest,
    key: EncryptionKey,
    options: CloudCallOptions,
  ): Promise<ParentCandidate[]> {
    if (parent === undefined) return [];
    const stream = parent.image.tags[TAG.stream];
    const all = stream === undefined ? [] : await this.images({ [TAG.stream]: stream }, options);
    const others = all.filter(({ id }) => id !== parent.image.id).reverse();
    const images = [parent.image, ...others].filter(({ diskSize }) => diskSize === content.map.size);
    const mapOf = (image: PublishedImage): Promise<DiskMap | undefined> =>
      image === parent.image ? Promise.resolve(parent.map) : this.#mapOf(image.tags);
    return findParents(this.#session, images, key, mapOf, options);
  }

  async #mapOf(tags: Tags): Promise<DiskMap | undefined> {
    const digest = tags[TAG.diskDigest] ?? decodeFacts(tags[DISK_FACTS])?.digest;
    return digest === undefined ? undefined : this.#maps.find(tags, digest);
  }

  async register(diskId: string, tags: Tags, { signal }: CloudCallOptions = {}): Promise<PublishedImage> {
    const snapshot = await findSnapshot(this.#session, diskId, { signal });
    const facts = decodeFacts(fromTagList(snapshot?.Tags)[DISK_FACTS]);
    if (snapshot === undefined || facts === undefined) throw this.#unknown(diskId);
    const [settings, target] = [this.#settings, this.#target];
    const image = await registerImage(this.#session, { snapshot, facts, tags, settings, target, signal });
    const imageId = image.ImageId!;
    if (fromTagList(image.Tags)[UNFINISHED] !== undefined) {
      await finishImage(this.#session, { imageId, tags, settings, target, signal });
    }
    return publishedImage(image) ?? this.#fail(this.#unknown(imageId));
  }

  async readBack(imageId: string, options: CloudCallOptions = {}): Promise<DiskMap> {
    const image = await this.#require(imageId, options);
    const { diskId, diskSize } = publishedImage(image) ?? this.#fail(this.#unknown(imageId));
    return readSnapshot(this.#session, diskId, diskSize, options);
  }

  async inspect(imageId: string, { signal }: CloudCallOptions = {}): Promise<string[]> {
    const image = await this.#require(imageId, { signal });
    return inspectImage(this.#session, image, this.#settings, this.#target, { signal });
  }

  async setTags(
    imageId: string,
    set: Tags,
    remove: readonly string[],
    { signal }: CloudCallOptions = {},
  ): Promise<PublishedImage> {
    const image = await this.#require(imageId, { signal });
    const changed = await setImageTags(this.#session, image, set, remove, { signal });
    return publishedImage(changed) ?? this.#fail(this.#unknown(imageId));
  }

  get place(): CloudPlace | undefined {
    return this.#session.place;
  }

  uses(imageIds: readonly string[], options: UseOptions = {}): Promise<ImageUse[]> {
    return findUses(this.#session, imageIds, options);
  }

  sharing(imageIds: readonly string[], { signal }: CloudCallOptions = {}): Promise<ImageSharing[]> {
    return findSharing(this.#session, imageIds, { signal });
  }

  async prefer(
    { id, tags }: PublishedImage,
    before: string | undefined,
    options: CloudCallOptions = {},
  ): Promise<void> {
    const named = this.#named(id, tags, options);
    if (named !== undefined) await nameAsPreferred(this.#session, named, before);
  }

  async remove(imageId: string, { signal }: CloudCallOptions = {}): Promise<void> {
    const image = await findImage(this.#session, imageId, { signal });
    if (image === undefined) return;
    await this.#nameNoMore(image, { signal });
    await deregisterImage(this.#session, imageId, { signal });
    for (const { Ebs } of image.BlockDeviceMappings ?? []) {
      if (Ebs?.SnapshotId !== undefined) await deleteSnapshot(this.#session, Ebs.SnapshotId, { signal });
    }
  }

  async unfinished({ signal }: CloudCallOptions = {}): Promise<UnfinishedDisk[]> {
    const finished = new Set((await this.images({}, { signal })).map(({ diskId }) => diskId));
    return unfinishedDisks(this.#session, finished, { signal });
  }

  async removeDisk(diskId: string, { signal }: CloudCallOptions = {}): Promise<void> {
    for (const image of await imagesOfSnapshot(this.#session, diskId, { signal })) {
      // The disk of an image stays.
      if (fromTagList(image.Tags)[UNFINISHED] === undefined) return;
      await this.#nameNoMore(image, { signal });
      await deregisterImage(this.#session, image.ImageId!, { signal });
    }
    await deleteSnapshot(this.#session, diskId, { signal });
  }

  close(): Promise<void> {
    // The session is its account's, and lasts as long as that.
    return Promise.resolve();
  }

  /** What is named by parameters, where there are any. */
  #named(imageId: string, tags: Tags, { signal }: CloudCallOptions): NamedImage | undefined {
    const [stream, path] = [tags[TAG.stream], this.#settings.parameters];
    if (stream === undefined || path === undefined) return undefined;
    return { imageId, stream, path, target: this.#target, signal };
  }

  async #nameNoMore({ ImageId = '', Tags: list }: Image, options: CloudCallOptions): Promise<void> {
    const named = this.#named(ImageId, fromTagList(list), options);
    if (named === undefined) return;
    await nameNoMore(this.#session, named, async () => {
      const others = await this.images({ [TAG.stream]: named.stream }, options);
      return others.findLast(({ id, fault }) => id !== ImageId && fault === undefined)?.id;
    });
  }

  async #require(imageId: string, { signal }: CloudCallOptions): Promise<Image> {
    return (await findImage(this.#session, imageId, { signal })) ?? this.#fail(this.#unknown(imageId));
  }

  #unknown(id: string): ImageUnpackerError {
    const target = this.#target;
    return new ImageUnpackerError('IMAGE_UNKNOWN', `There is no ${id} in ${target}`, { target });
  }

  #fail(error: ImageUnpackerError): never {
    throw error;
  }
}
