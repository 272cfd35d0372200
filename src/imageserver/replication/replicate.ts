import { throwIfAborted } from '../../image/error.js';
import { parseImageName } from '../../image/name.js';
import { isSameRecord } from '../../store/record.js';
import type { ImageRecord } from '../../store/store.js';
import type { Ends, ReplicationEvent, ReplicationOptions } from './options.js';
import { replicateChannels } from './replicate-channels.js';
import { replicateDiskMaps } from './replicate-disk-maps.js';
import { replicateImage } from './replicate-image.js';
import { SourceView } from './source-view.js';
import { Tally } from './tally.js';

/**
 * Makes the destination once what the source is:
 *
 *   1. Images that it lacks, oldest first, and changes of those that it has.
 *   2. Channels, which name images that are there by now.
 *   3. Disk maps.
 *   4. Images that the source has no more go; no channel names them.
 *
 * What cannot be read at the source is refused, and what is here of that name stays. `view` is what was known of the source.
 *
 * It can be ended at any moment: all of it is found out anew, and objects that have arrived are not sent again. What
 * is wrong with one image keeps no other back. Throws what is wrong with one of the ends.
 */
export async function replicate(
  ends: Ends,
  options: ReplicationOptions,
  mayEmpty: boolean,
  view = new SourceView(),
): Promise<Tally & { images: number }> {
  let changes = 0;
  const onEvent = (event: ReplicationEvent): void => {
    if (event.kind === 'image' || event.kind === 'changed') changes++;
    options.onEvent(event);
  };
  const counted = { ...options, onEvent };
  const tally = new Tally(onEvent);
  await view.refresh(ends.source);
  const damagedHere = new Set<string>();
  const listed = await ends.destination.list(undefined, name => damagedHere.add(name));
  const present = new Map(listed.map(each => [each.name, each]));
  const wanted = view.images();
  const damaged = view.damaged();
  const images = wanted.length + damaged.images.size;
  if (images === 0 && present.size > 0 && !mayEmpty) {
    tally.held = true;
    onEvent({ kind: 'held', images: present.size });
    return Object.assign(tally, { images });
  }
  for (const [name, error] of [...damaged.images, ...damaged.channels]) tally.refuse(name, error);
  await removeDamaged(ends, damagedHere, counted, tally);
  await replicateImages(ends, wanted, present, counted, tally);
  await replicateChannels(ends, view, counted, tally);
  await replicateDiskMaps(ends, view.diskMaps(), counted, tally);
  const keep = new Set([...wanted.map(({ name }) => name), ...damaged.images.keys()]);
  await removeOthers(ends, keep, present, counted, tally);
  tally.changes += changes;
  return Object.assign(tally, { images });
}

/** What cannot be read here is brought anew, if the source has it. */
async function removeDamaged(
  ends: Ends,
  names: ReadonlySet<string>,
  { onEvent }: ReplicationOptions,
  tally: Tally,
): Promise<void> {
  for (const name of names) {
    await tally.attempt(name, async () => {
      await ends.destination.remove(name, { force: true });
      onEvent({ kind: 'removed', image: name });
      tally.changes++;
    });
  }
}

async function replicateImages(
  ends: Ends,
  wanted: readonly ImageRecord[],
  present: Map<string, ImageRecord>,
  options: ReplicationOptions,
  tally: Tally,
): Promise<void> {
  // The newest image of each stream that is whole at the destination.
  const bases = new Map<string, ImageRecord>();
  for (const record of present.values()) bases.set(parseImageName(record.name).stream, record);
  const behind = wanted.filter(record => {
    const existing = present.get(record.name);
    return existing === undefined || !isSameRecord(existing, record);
  });
  if (behind.length > 0) options.onEvent({ kind: 'behind', images: behind.length });
  for (const { name } of behind) {
    const { stream } = parseImageName(name);
    const existing = present.get(name);
    throwIfAborted(options.signal);
    await tally.attempt(name, async () => {
      await replicateImage(ends, name, { existing, base: bases.get(stream) }, options);
      const made = await ends.destination.image(name);
      bases.set(stream, made);
      present.set(name, made);
    });
  }
}

async function removeOthers(
  ends: Ends,
  keep: ReadonlySet<string>,
  present: ReadonlyMap<string, ImageRecord>,
  { signal, onEvent }: ReplicationOptions,
  tally: Tally,
): Promise<void> {
  for (const [name, expected] of present) {
    if (keep.has(name)) continue;
    throwIfAborted(signal);
    await tally.attempt(name, async () => {
      if (await tally.hasImage(ends.source, name)) {
        tally.raced = true;
        return;
      }
      await ends.destination.remove(name, { expected, force: true });
      onEvent({ kind: 'removed', image: name });
      tally.changes++;
    });
  }
}
