import type { Image } from '@aws-sdk/client-ec2';
import type { Tags } from '../cloud.js';
import { rootSnapshot } from './find.js';
import type { AwsSession, CallOptions } from './session.js';
import { fromTagList, toTagList } from './tags.js';

/** Sets and removes tags of an image and its snapshot, first the ones, then the others; the image as it is then. */
export async function setImageTags(
  session: AwsSession,
  image: Image,
  set: Tags,
  remove: readonly string[],
  options: CallOptions,
): Promise<Image> {
  const snapshotId = rootSnapshot(image);
  const Resources = [image.ImageId!, ...(snapshotId === undefined ? [] : [snapshotId])];
  if (Object.keys(set).length > 0) {
    await session.call('CreateTags', { Resources, Tags: toTagList(set) }, options);
  }
  if (remove.length > 0) {
    await session.call('DeleteTags', { Resources, Tags: remove.map(Key => ({ Key })) }, options);
  }
  const kept = Object.entries(fromTagList(image.Tags)).filter(([key]) => !remove.includes(key));
  return { ...image, Tags: toTagList({ ...Object.fromEntries(kept), ...set }) };
}
