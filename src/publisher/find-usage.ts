import type { CloudTarget, ImageSharing, PublishedImage } from '../cloud/cloud.js';
import { throwIfAborted } from '../image/error.js';
import type { FoundUses, ImageReason } from './judge-images.js';
import { judgeImages } from './judge-images.js';
import { makeOpenTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { TargetRow } from './row.js';
import { errorColumns, rowOf } from './row.js';
import type { Target } from './target.js';

/*
 * What uses the images of some targets.
 *
 *   1. Every target tells its images, and whom they are shared with.
 *   2. Every account and region tells what there uses any of the images of its region that are its own or shared with
 *      it: an image may be used where it is not published.
 *   3. What cannot be looked at is no proof of anything: the images of that target are not judged at all, and those that
 *      are shared with it count as used.
 */

/** What is looked for, and in which images. */
export interface UsageOptions extends TargetsOptions {
  /** Only images that have these tags. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Not images that have any of these tags. */
  readonly excludeTags?: Readonly<Record<string, string>> | undefined;
  /** Only images that were published so many seconds ago at least. */
  readonly minAge?: number | undefined;
  /** How many of the newest images of each stream are kept in any case; default: 1. */
  readonly keep?: number | undefined;
  /** Accounts, organisations and units whose use of what is shared with them is of no matter. */
  readonly disregarded?: readonly string[] | undefined;
  /** All versions of launch templates count, not only those that something names. */
  readonly allVersions?: boolean | undefined;
}

/** An image that was asked for, with why it stays. */
export interface JudgedImage {
  readonly image: PublishedImage;
  readonly reasons: readonly ImageReason[];
}

/** What was found out of a target. */
export interface TargetUsage {
  readonly target: Target;
  readonly images: readonly JudgedImage[];
  /** What uses the images that were asked for, here or elsewhere. */
  readonly found: readonly FoundUses[];
  readonly error: TargetRow | undefined;
}

/** A target while it is looked at. */
interface Looked {
  readonly target: Target;
  cloud?: CloudTarget;
  images: readonly PublishedImage[];
  asked: readonly PublishedImage[];
  sharing: readonly ImageSharing[];
  found?: FoundUses;
  error?: TargetRow;
}

/** Finds what uses the images of some targets, and changes nothing. Throws `CANCELLED`. */
export async function findUsage(options: UsageOptions): Promise<TargetUsage[]> {
  const { signal, keep = 1, disregarded = [] } = options;
  const looked = options.targets.map((target): Looked => ({ target, images: [], asked: [], sharing: [] }));
  try {
    await Promise.all(looked.map(each => attempt(each, () => lookAtImages(each, options))));
    await Promise.all(looked.map(each => attempt(each, () => lookForUses(each, looked, options))));
  } finally {
    for (const { cloud } of looked) await cloud?.close();
  }
  throwIfAborted(signal);
  const all = looked.flatMap(({ found }) => found ?? []);
  return looked.map(each => {
    const { target, cloud, images, asked, sharing, error } = each;
    const place = cloud?.place;
    const found =
      place === undefined ? [each.found].filter(one => one !== undefined) : inRegion(all, place.region);
    const evidence = { images, place, found, sharing, disregarded: new Set(disregarded), keep };
    const reasons = judgeImages(evidence);
    const judged = asked.map(image => ({ image, reasons: reasons.get(image.id) ?? [] }));
    return { target, images: error === undefined ? judged : [], found, error };
  });
}

function inRegion(found: readonly FoundUses[], region: string): FoundUses[] {
  return found.filter(({ place }) => place?.region === region);
}

async function attempt(looked: Looked, look: () => Promise<void>): Promise<void> {
  if (looked.error !== undefined) return;
  try {
    await look();
  } catch (reason) {
    const doing = `Looking for what uses the images of ${looked.target.name} failed`;
    looked.error = { ...rowOf(looked.target), ...errorColumns(reason, doing) };
  }
}

async function lookAtImages(looked: Looked, options: UsageOptions): Promise<void> {
  const { signal, openTarget: open = makeOpenTarget(), now = () => new Date() } = options;
  const cloud = await open(looked.target, { write: false, now, signal });
  looked.cloud = cloud;
  looked.images = await cloud.images({}, { signal });
  looked.asked = looked.images.filter(image => isAsked(image, options, now()));
  const ids = looked.asked.map(({ id }) => id);
  looked.sharing = (await cloud.sharing?.(ids, { signal })) ?? [];
}

function isAsked(
  { tags, createdAt }: PublishedImage,
  { tags: wanted = {}, excludeTags = {}, minAge = 0 }: UsageOptions,
  now: Date,
): boolean {
  const has = ([key, value]: [string, string]): boolean => tags[key] === value;
  return (
    Object.entries(wanted).every(has) &&
    !Object.entries(excludeTags).some(has) &&
    // Whatever the clock of who published it says.
    (minAge === 0 || now.getTime() - Date.parse(createdAt) >= minAge * 1000)
  );
}

async function lookForUses(
  looked: Looked,
  all: readonly Looked[],
  { signal, allVersions }: UsageOptions,
): Promise<void> {
  const { cloud } = looked;
  if (cloud?.uses === undefined) return;
  const { place } = cloud;
  const shared = all
    .filter(other => other !== looked && place !== undefined && other.cloud?.place?.region === place.region)
    .flatMap(({ sharing, cloud: owner }) =>
      sharing
        .filter(
          ({ accounts }) => accounts.includes(place!.account) || owner?.place?.account === place!.account,
        )
        .map(({ imageId }) => imageId),
    );
  const ids = [...new Set([...looked.asked.map(({ id }) => id), ...shared])];
  looked.found = { place, uses: await cloud.uses(ids, { signal, allVersions }) };
}
