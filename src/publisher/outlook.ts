import type {
  CloudTarget,
  ParentProspect,
  PreflightCheck,
  PublishedImage,
  UnpackOutlook,
} from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { changedBlocks, usedBlocks } from '../image/disk-map.js';
import type { DiskMap } from '../image/disk-map.js';
import { ImageUnpackerError } from '../image/error.js';
import { diffManifests } from '../store/diff.js';
import { ManifestReader } from '../store/manifest-reader.js';
import type { ImageRecord, Store } from '../store/store.js';
import type { Outlook } from './estimate.js';
import { soonest } from './estimate.js';
import { keptMaps } from './kept-maps.js';
import type { OpenTarget } from './open-target.js';
import { withTarget } from './open-target.js';
import type { Rates } from './rates.js';
import type { SurveyedTarget } from './survey-all.js';

/** What is foreseen of publishing to a target. */
export interface Foresight {
  readonly outlook: Outlook;
  /** What the disk would be made from. */
  readonly parent: PublishedImage | undefined;
  /** Undefined when they were not asked for, or can not be made there. */
  readonly checks: readonly PreflightCheck[] | undefined;
}

/** How a target is looked at. */
export interface Look {
  readonly open: OpenTarget;
  readonly now: () => Date;
  readonly stream: string;
  readonly preflight: boolean;
}

interface ForeseerOptions {
  readonly store: Store;
  readonly image: ImageRecord;
  readonly surveys: readonly SurveyedTarget[];
  readonly rates: Rates;
  readonly signal: AbortSignal | undefined;
}

/** Foresees what publishing an image takes; what is the same for several targets is found out once. */
export class Foreseer {
  readonly #options: ForeseerOptions;
  readonly #newBytes = new Map<string, Promise<bigint>>();
  readonly #blocks = new Map<string, Promise<number | undefined>>();
  #disk: Promise<DiskMap | undefined> | undefined;

  constructor(options: ForeseerOptions) {
    this.#options = options;
  }

  /** Looks ahead in a target, and changes nothing. Throws what keeps it from being looked at. */
  async foresee(
    { target }: SurveyedTarget,
    parent: PublishedImage | undefined,
    { stream, preflight, ...how }: Look,
  ): Promise<Foresight> {
    const { signal, rates } = this.#options;
    const { bytes } = this.#options.image;
    const look = { ...how, write: false, signal };
    const { unpacker, prospects, checks } = await withTarget(target, look, async cloud => ({
      unpacker: await cloud.unpackOutlook?.(stream, bytes, { signal }),
      prospects: cloud.unpackOutlook ? [] : await prospectsOf(cloud, stream, parent, signal),
      checks: preflight ? await cloud.preflight?.({ stream, quotas: rates.quotas }, { signal }) : undefined,
    }));
    if (unpacker !== undefined) return { ...(await this.#foreseeUnpack(target, parent, unpacker)), checks };
    const choices = await Promise.all(
      prospects.map(async ({ image, readyInSeconds }) => ({
        image,
        waitSeconds: readyInSeconds,
        ...(await this.#difference(image)),
      })),
    );
    const best = soonest(choices, rates);
    const { newBytes, knownBlocks } = best ?? (await this.#difference(undefined));
    const outlook = {
      strategy: target.strategy,
      region: target.region,
      newBytes,
      hasParent: best !== undefined,
      waitSeconds: best?.waitSeconds ?? 0,
      knownBlocks,
    };
    return { outlook, parent: best?.image, checks };
  }

  /** Looks ahead where the image is unpacked to a volume, which mostly holds the newest image where its agent does not tell. */
  async #foreseeUnpack(
    { strategy, region }: SurveyedTarget['target'],
    newest: PublishedImage | undefined,
    unpacker: UnpackOutlook,
  ): Promise<Omit<Foresight, 'checks'>> {
    const parent = unpacker.volume === undefined ? undefined : newest;
    const on = unpacker.digest ?? parent?.tags[TAG.imageDigest];
    const newBytes = Number(await memoised(this.#newBytes, on ?? '', () => this.#countBytes(on ?? '')));
    const outlook = { strategy, region, newBytes, hasParent: on !== undefined, waitSeconds: 0, unpacker };
    return { outlook: { ...outlook, knownBlocks: undefined }, parent };
  }

  /** In what the image differs from a parent; from nothing, without one. */
  async #difference(parent: PublishedImage | undefined) {
    const image = parent?.tags[TAG.imageDigest] ?? '';
    const bytes = memoised(this.#newBytes, image, () => this.#countBytes(image));
    const disk = parent?.tags[TAG.diskDigest] ?? '';
    const blocks = memoised(this.#blocks, `${image} ${disk}`, () => this.#countBlocks(parent));
    return { newBytes: Number(await bytes), knownBlocks: await blocks };
  }

  /** The bytes of content that the image has and the one with `digest` has not; all, if that is not in the store. */
  async #countBytes(digest: string): Promise<bigint> {
    const { store, image, signal } = this.#options;
    const bytes = Buffer.from(digest, 'hex');
    if (digest === '' || (await store.has([bytes]))[0] !== true) return image.bytes;
    try {
      const from = await ManifestReader.open(store, bytes);
      const to = await ManifestReader.open(store, Buffer.from(image.digest, 'hex'));
      return (await diffManifests(from, to, { signal })).newBytes;
    } catch (reason) {
      // Of an image that was deleted, not all pages need be there any more.
      if (reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED') return image.bytes;
      throw reason;
    }
  }

  /** The blocks that differ from the parent's, where what both disks hold is kept. */
  async #countBlocks(parent: PublishedImage | undefined): Promise<number | undefined> {
    const disk = await (this.#disk ??= this.#findDisk());
    if (disk === undefined) return undefined;
    if (parent === undefined) return usedBlocks(disk);
    const before = await this.#mapOf(parent);
    return before?.size === disk.size ? changedBlocks(disk, before).length : undefined;
  }

  /** What the image's disk holds, where it is published already. */
  async #findDisk(): Promise<DiskMap | undefined> {
    for (const { survey } of this.#options.surveys) {
      const map = survey?.kind === 'published' ? await this.#mapOf(survey.image) : undefined;
      if (map !== undefined) return map;
    }
    return undefined;
  }

  async #mapOf({ tags }: PublishedImage): Promise<DiskMap | undefined> {
    const digest = tags[TAG.diskDigest];
    return digest === undefined ? undefined : keptMaps(this.#options.store).find(tags, digest);
  }
}

async function prospectsOf(
  cloud: CloudTarget,
  stream: string,
  parent: PublishedImage | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly ParentProspect[]> {
  if (cloud.prospects !== undefined) return cloud.prospects(stream, { signal });
  return parent === undefined ? [] : [{ image: parent, readyInSeconds: 0 }];
}

function memoised<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}
