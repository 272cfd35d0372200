import type { CloudPlace, ImageSharing, ImageUse, PublishedImage } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';

/** Why an image stays. */
export interface ImageReason {
  /** What uses it; or that it is `preferred`, one of the newest (`newest`), or that others may use it (`shared`). */
  readonly Kind: ImageUse['kind'] | 'preferred' | 'newest' | 'shared';
  /** What uses it, or whom it is shared with, by an id or name. */
  readonly Id: string;
  readonly Detail?: string;
  /** Whose it is, when it is another account's than the image. */
  readonly AccountId?: string;
}

/** What was found in an account and region, or in a directory. */
export interface FoundUses {
  readonly place: CloudPlace | undefined;
  readonly uses: readonly ImageUse[];
}

/** What is known of the images of a target. */
export interface ImageEvidence {
  /** All images of the target, oldest first. */
  readonly images: readonly PublishedImage[];
  readonly place: CloudPlace | undefined;
  /** What was found in every place that could be looked at all of. */
  readonly found: readonly FoundUses[];
  readonly sharing: readonly ImageSharing[];
  /** Those whose use of shared images is of no matter. */
  readonly disregarded: ReadonlySet<string>;
  /** How many of the newest images of each stream stay in any case. */
  readonly keep: number;
}

/**
 * Why each image stays, by its id; without a reason it is not used. Whoever an image is shared with counts as using it,
 * unless it is an account that was looked into.
 */
export function judgeImages(evidence: ImageEvidence): Map<string, ImageReason[]> {
  const newest = newestOf(evidence.images, evidence.keep);
  const sharing = new Map(evidence.sharing.map(each => [each.imageId, each]));
  return new Map(
    evidence.images.map(image => {
      const reasons = [...keptFor(image, newest), ...usesOf(image, evidence)];
      return [image.id, distinct([...reasons, ...sharedWith(sharing.get(image.id), evidence)])];
    }),
  );
}

/** An account and region may be looked at by way of two targets. */
function distinct(reasons: readonly ImageReason[]): ImageReason[] {
  return [...new Map(reasons.map(reason => [JSON.stringify(reason), reason])).values()];
}

/** The newest images of each stream that can be used. */
function newestOf(images: readonly PublishedImage[], keep: number): Set<string> {
  const streams = new Map<string, string[]>();
  for (const { id, tags, fault } of images) {
    if (fault !== undefined) continue;
    const stream = tags[TAG.stream] ?? '';
    streams.set(stream, [...(streams.get(stream) ?? []), id]);
  }
  return new Set([...streams.values()].flatMap(ids => (keep === 0 ? [] : ids.slice(-keep))));
}

function keptFor({ id, tags }: PublishedImage, newest: ReadonlySet<string>): ImageReason[] {
  const stream = tags[TAG.stream] ?? '';
  return [
    ...(tags[TAG.preferred] === undefined ? [] : [{ Kind: 'preferred' as const, Id: stream }]),
    ...(newest.has(id) ? [{ Kind: 'newest' as const, Id: stream }] : []),
  ];
}

function usesOf({ id: imageId }: PublishedImage, { found, place }: ImageEvidence): ImageReason[] {
  return found
    .filter(({ place: where }) => where?.region === place?.region)
    .flatMap(({ place: where, uses }) =>
      uses
        .filter(use => use.imageId === imageId)
        .map(({ kind, id, detail }) => ({
          Kind: kind,
          Id: id,
          ...(detail === undefined ? {} : { Detail: detail }),
          ...(where === undefined || where.account === place?.account ? {} : { AccountId: where.account }),
        })),
    );
}

function sharedWith(
  sharing: ImageSharing | undefined,
  { found, place, disregarded }: ImageEvidence,
): ImageReason[] {
  const isKnown = (account: string): boolean =>
    found.some(({ place: where }) => where?.account === account && where.region === place?.region);
  const unknown = (sharing?.accounts ?? []).filter(account => !isKnown(account));
  return [...unknown, ...(sharing?.others ?? [])]
    .filter(who => !disregarded.has(who))
    .map(who => ({ Kind: 'shared', Id: who, Detail: 'what it uses cannot be looked at' }));
}
