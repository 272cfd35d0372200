import type { Filter, Image, Snapshot } from '@aws-sdk/client-ec2';
import { ImageUnpackerError } from '../../image/error.js';
import type { Tags } from '../cloud.js';
import { isAnswer, isMissing } from './fault.js';
import type { CallOptions, AwsSession } from './session.js';
import { MANAGED_BY } from './tags.js';

/** A list that never ends is a defect of the other end. */
const MOST_PAGES = 10_000;
const PAGE = 1000;
/** An id that is none names nothing. */
const MALFORMED = /Malformed$|^InvalidParameterValue$/;

function filtersOf(tags: Tags): Filter[] {
  return Object.entries({ ...tags, [MANAGED_BY.key]: MANAGED_BY.value }).map(([key, value]) => ({
    Name: `tag:${key}`,
    // A filter takes * and ? for any characters.
    Values: [value.replace(/[*?\\]/g, '\\$&')],
  }));
}

/** All that a list has, page by page. Throws `CLOUD_FAILED` for one that does not end: half of it would mislead. */
export async function pages<T>(
  ask: (token: string | undefined) => Promise<{ items: readonly T[]; next: string | undefined }>,
): Promise<T[]> {
  const all: T[] = [];
  let token: string | undefined;
  // A page may be short or empty; only a missing token ends.
  for (let page = 0; page < MOST_PAGES; page++) {
    const { items, next } = await ask(token);
    all.push(...items);
    if (next === undefined || next === '') return all;
    token = next;
  }
  throw new ImageUnpackerError('CLOUD_FAILED', `A list of AWS has more than ${String(MOST_PAGES)} pages`);
}

/** All of our images in an account and region that have these tags. */
export function findImages(session: AwsSession, tags: Tags, options: CallOptions): Promise<Image[]> {
  return pages(async NextToken => {
    const input = { Owners: ['self'], Filters: filtersOf(tags), MaxResults: PAGE, NextToken };
    const answer = await session.call('DescribeImages', input, options);
    return { items: answer.Images ?? [], next: answer.NextToken };
  });
}

/** All of our snapshots in an account and region that have these tags. */
export function findSnapshots(session: AwsSession, tags: Tags, options: CallOptions): Promise<Snapshot[]> {
  return pages(async NextToken => {
    const input = { OwnerIds: ['self'], Filters: filtersOf(tags), MaxResults: PAGE, NextToken };
    const answer = await session.call('DescribeSnapshots', input, options);
    return { items: answer.Snapshots ?? [], next: answer.NextToken };
  });
}

/** An image of ours by its id; undefined when it is not there (any more), or is somebody else's. */
export async function findImage(
  session: AwsSession,
  imageId: string,
  options: CallOptions,
): Promise<Image | undefined> {
  try {
    const { Images = [] } = await session.call('DescribeImages', { ImageIds: [imageId] }, options);
    return Images.find(({ ImageId }) => ImageId === imageId);
  } catch (reason) {
    if (isMissing(reason) || isAnswer(reason, MALFORMED)) return undefined;
    throw reason;
  }
}

/** A snapshot by its id; undefined when it is not there (any more). */
export async function findSnapshot(
  session: AwsSession,
  snapshotId: string,
  options: CallOptions,
): Promise<Snapshot | undefined> {
  try {
    const input = { SnapshotIds: [snapshotId] };
    const { Snapshots = [] } = await session.call('DescribeSnapshots', input, options);
    return Snapshots.find(({ SnapshotId }) => SnapshotId === snapshotId);
  } catch (reason) {
    if (isMissing(reason) || isAnswer(reason, MALFORMED)) return undefined;
    throw reason;
  }
}

/** The images that a snapshot is a disk of. */
export async function imagesOfSnapshot(
  session: AwsSession,
  snapshotId: string,
  options: CallOptions,
): Promise<Image[]> {
  const Filters = [{ Name: 'block-device-mapping.snapshot-id', Values: [snapshotId] }];
  const { Images = [] } = await session.call('DescribeImages', { Owners: ['self'], Filters }, options);
  return Images;
}

/** The snapshot of an image's root. */
export function rootSnapshot({ RootDeviceName, BlockDeviceMappings = [] }: Image): string | undefined {
  const root = BlockDeviceMappings.find(({ DeviceName }) => DeviceName === RootDeviceName);
  return (root ?? BlockDeviceMappings[0])?.Ebs?.SnapshotId;
}

/** How much there is in an account and region, whoever made it, of what AWS allows only so much of. */
export async function countOwn(
  session: AwsSession,
  options: CallOptions,
): Promise<{ images: number; snapshots: number; pendingSnapshots: number }> {
  const images = await pages(async NextToken => {
    const input = {
      Owners: ['self'],
      IncludeDeprecated: true,
      IncludeDisabled: true,
      MaxResults: PAGE,
      NextToken,
    };
    const answer = await session.call('DescribeImages', input, options);
    return { items: (answer.Images ?? []).map(() => 0), next: answer.NextToken };
  });
  const snapshots = await pages(async NextToken => {
    const input = { OwnerIds: ['self'], MaxResults: PAGE, NextToken };
    const answer = await session.call('DescribeSnapshots', input, options);
    return { items: (answer.Snapshots ?? []).map(({ State }) => State), next: answer.NextToken };
  });
  const pendingSnapshots = snapshots.filter(state => state === 'pending').length;
  return { images: images.length, snapshots: snapshots.length, pendingSnapshots };
}
