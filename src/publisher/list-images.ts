import { TAG } from '../cloud/cloud.js';
import type { PublishedImage } from '../cloud/cloud.js';
import { throwIfAborted } from '../image/error.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { TargetRow } from './row.js';
import { errorColumns, imageColumns, rowOf } from './row.js';
import type { Target } from './target.js';

/** An image that is published, or a target that cannot be looked at. */
export interface PublishedRow extends TargetRow {
  AmiId?: string;
  AmiName?: string;
  /** RFC 3339. */
  CreationDate?: string;
  Description?: string;
  /** GiB. */
  Size?: number;
  SnapshotId?: string;
  DiskDigest?: string;
  DiskSize?: number;
  Architecture?: string;
  BootMode?: string;
  RootDeviceName?: string;
  Path?: string;
  ExpiresAt?: string;
  Run?: string;
  Tags?: Readonly<Record<string, string>>;
  /** What is wrong with its disk. */
  Fault?: string;
}

/** All images in the targets that have the tags, oldest first in each. Throws `CANCELLED`. */
export async function listImages(
  options: TargetsOptions & { readonly tags?: Readonly<Record<string, string>> | undefined },
): Promise<PublishedRow[]> {
  const { targets, tags = {}, signal, openTarget: open = makeOpenTarget(), now = () => new Date() } = options;
  const rows = await Promise.all(
    targets.map(async (target): Promise<PublishedRow[]> => {
      try {
        const images = await withTarget(target, { write: false, now, signal, open }, cloud =>
          cloud.images(tags, { signal }),
        );
        return images.map(image => publishedImageRow(target, image));
      } catch (reason) {
        return [{ ...rowOf(target), ...errorColumns(reason, `Listing the images of ${target.name} failed`) }];
      }
    }),
  );
  throwIfAborted(signal);
  return rows.flat();
}

/** What is said of an image that is published. */
export function publishedImageRow(target: Target, image: PublishedImage): PublishedRow {
  const { createdAt, tags, fault } = image;
  const name = tags[TAG.imageName];
  return {
    ...rowOf(target),
    ...imageColumns(image),
    ...(name === undefined ? {} : { AmiName: name, Description: name }),
    CreationDate: createdAt,
    Tags: tags,
    ...(fault === undefined ? {} : { Fault: fault.message }),
  };
}
