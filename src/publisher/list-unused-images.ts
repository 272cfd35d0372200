import type { UsageOptions } from './find-usage.js';
import { findUsage } from './find-usage.js';
import type { PublishedRow } from './list-images.js';
import { publishedImageRow } from './list-images.js';
import type { UsageReport, UsingInstanceRow } from './list-used-images.js';
import { reportOf, usingInstances } from './list-used-images.js';

/** An image that nothing uses. */
export interface UnusedImageRow extends PublishedRow {
  AmiId: string;
  /** Whether it is gone now; only where it was to be deleted. */
  Deleted?: boolean;
}

/** The images of some targets that are not used, and the machines that keep old ones from being so. */
export interface UnusedImages extends UsageReport {
  UnusedImages: UnusedImageRow[];
  /** Machines that were made of images that are neither preferred nor the newest of their stream. */
  OldInstances: UsingInstanceRow[];
}

/** Seconds that images are left alone: what has just been published is not used yet. */
export const USUAL_MIN_AGE = 24 * 60 * 60;

/** The images that nothing uses, as far as all of it could be looked at. Throws `CANCELLED`. */
export async function listUnusedImages(options: UsageOptions): Promise<UnusedImages> {
  const usages = await findUsage({ ...options, minAge: options.minAge ?? USUAL_MIN_AGE });
  const unused = usages.flatMap(({ target, images }) =>
    images
      .filter(({ reasons }) => reasons.length === 0)
      .map(({ image }) => ({ ...publishedImageRow(target, image), AmiId: image.id })),
  );
  const old = usages.flatMap(usage =>
    usingInstances(usage, reasons => !reasons.some(({ Kind }) => Kind === 'preferred' || Kind === 'newest')),
  );
  return { UnusedImages: unused, OldInstances: old, ...reportOf(usages) };
}
