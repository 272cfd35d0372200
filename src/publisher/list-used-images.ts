import type { ImageUse } from '../cloud/cloud.js';
import type { TargetUsage, UsageOptions } from './find-usage.js';
import { findUsage } from './find-usage.js';
import type { ImageReason } from './judge-images.js';
import type { PublishedRow } from './list-images.js';
import { publishedImageRow } from './list-images.js';
import type { TargetRow } from './row.js';
import { rowOf } from './row.js';

/** An image that is used, or may be. */
export interface UsedImageRow extends PublishedRow {
  Uses: readonly ImageReason[];
}

/** A machine that was made of an image of the targets. */
export interface UsingInstanceRow extends TargetRow {
  InstanceId: string;
  AmiId: string;
  State?: string;
  /** RFC 3339. */
  LaunchTime?: string;
  Tags: Readonly<Record<string, string>>;
}

/** What was looked at. */
export interface UsageReport {
  /** The targets that could be looked at all of. */
  Targets: string[];
  /** Those that could not: of their images nothing is said. */
  Errors: TargetRow[];
}

/** The images of some targets that are used, and the machines that were made of them. */
export interface UsedImages extends UsageReport {
  UsedImages: UsedImageRow[];
  UsingInstances: UsingInstanceRow[];
}

/**
 * The images that something uses, with all that does: machines, launch templates, Auto Scaling, SSM parameters; that are
 * preferred, or the newest of their stream; or that are shared with whom cannot be looked into. Throws `CANCELLED`.
 */
export async function listUsedImages(options: UsageOptions): Promise<UsedImages> {
  const usages = await findUsage(options);
  const used = usages.flatMap(({ target, images }) =>
    images
      .filter(({ reasons }) => reasons.length > 0)
      .map(({ image, reasons }) => ({ ...publishedImageRow(target, image), Uses: reasons })),
  );
  return {
    UsedImages: used,
    UsingInstances: usages.flatMap(usage => usingInstances(usage)),
    ...reportOf(usages),
  };
}

/** The machines that were made of those images that `isMeant` picks. */
export function usingInstances(
  { target, images, found }: TargetUsage,
  isMeant: (reasons: readonly ImageReason[]) => boolean = () => true,
): UsingInstanceRow[] {
  const ids = new Set(images.filter(({ reasons }) => isMeant(reasons)).map(({ image }) => image.id));
  return found.flatMap(({ place, uses }) =>
    uses
      .filter(({ kind, imageId }) => kind === 'instance' && ids.has(imageId))
      .map(use => ({
        ...rowOf(target),
        ...(place === undefined ? {} : { AccountId: place.account }),
        ...instanceColumns(use),
      })),
  );
}

function instanceColumns({ id, imageId, detail, since, tags = {} }: ImageUse) {
  return {
    InstanceId: id,
    AmiId: imageId,
    ...(detail === undefined ? {} : { State: detail }),
    ...(since === undefined ? {} : { LaunchTime: since }),
    Tags: tags,
  };
}

/** Which targets are reported of. */
export function reportOf(usages: readonly TargetUsage[]): UsageReport {
  return {
    Targets: usages.filter(({ error }) => error === undefined).map(({ target }) => target.name),
    Errors: usages.flatMap(({ error }) => error ?? []),
  };
}
