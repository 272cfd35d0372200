import { setTimeout } from 'node:timers/promises';
import { parseImageName } from '../../image/name.js';
import type { Channel } from '../channel.js';
import { currentMove, withMove } from '../channel.js';
import { imageChanged, imageInUse } from '../image-error.js';
import { isSameRecord } from '../record.js';
import type { RemoveOptions } from '../store.js';
import type { S3Channels } from './channels.js';
import type { S3Records } from './records.js';

/*
 * An image that a channel names is not deleted, though the two lie in two keys and S3 changes one at a time: who deletes
 * writes that, and looks then whether a channel names the image; who moves a channel writes that, and looks then whether
 * the image is there. So one of the two sees the other. The one who deletes takes it back; the one who moves waits for
 * that a moment.
 */

const WAIT_MILLISECONDS = 500;
const WAITS = 10;

/** Deletes an image; resolves to false if there is none. Throws `IMAGE_IN_USE`, `IMAGE_CHANGED`. */
export async function removeImage(
  records: S3Records,
  channels: S3Channels,
  name: string,
  { expected, force = false }: RemoveOptions,
): Promise<boolean> {
  const there = await records.find(name);
  if (there === undefined || there.deleted !== undefined) return false;
  if (!force) await checkIsUnnamed(channels, name);
  const { record } = there;
  const isExpected = expected === undefined || (record !== undefined && isSameRecord(record, expected));
  const etag = isExpected ? await records.bury(name, there) : undefined;
  if (etag === undefined) throw imageChanged(records.location, name);
  if (force || record === undefined) return true;
  try {
    await checkIsUnnamed(channels, name);
  } catch (reason) {
    await records.revive(record, etag);
    throw reason;
  }
  return true;
}

/** Moves a channel; resolves to false if the image that it would name is deleted, which leaves it where it was. */
export async function moveIfThere(
  records: S3Records,
  channels: S3Channels,
  next: Channel,
  expected: Channel | undefined,
): Promise<boolean> {
  await channels.replace(next, expected);
  const { image, movedAt } = currentMove(next);
  if (image === null || (await staysThere(records, image))) return true;
  const before = expected && currentMove(expected);
  const back = { image: before?.image ?? null, digest: before?.digest ?? null, movedAt };
  await channels.replace(withMove(next, next, back), next);
  return false;
}

async function checkIsUnnamed(channels: S3Channels, name: string): Promise<void> {
  const { stream } = parseImageName(name);
  const naming = (await channels.list(stream)).find(channel => currentMove(channel).image === name);
  if (naming !== undefined) throw imageInUse(name, naming);
}

async function staysThere(records: S3Records, name: string): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    if ((await records.find(name))?.record !== undefined) return true;
    if (attempt === WAITS) return false;
    await setTimeout(WAIT_MILLISECONDS);
  }
}
