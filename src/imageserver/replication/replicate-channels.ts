import { isDeepStrictEqual } from 'node:util';
import type { Channel } from '../../store/channel.js';
import { currentMove, showChannel, withMove } from '../../store/channel.js';
import { unlessDamaged } from '../../store/damage.js';
import type { Ends, ReplicationOptions } from './options.js';
import type { SourceView } from './source-view.js';
import type { Tally } from './tally.js';

/** Makes the channels of the destination what those of the source are, with their histories. */
export async function replicateChannels(
  ends: Ends,
  view: SourceView,
  options: ReplicationOptions,
  tally: Tally,
): Promise<void> {
  const { source, destination } = ends;
  const wanted = view.channels();
  // One that is damaged here is made anew from the source's.
  const present = await destination.channels(undefined, () => undefined);
  const damaged = view.damaged().channels;
  const names = new Set(wanted.map(showChannel));
  for (const channel of wanted) await replicateOne(ends, channel, options, tally);
  for (const channel of present) {
    if (names.has(showChannel(channel)) || damaged.has(`${channel.stream}/${channel.name}`)) continue;
    // It was taken away, or the source never had it.
    const theirs = await source.channel(channel.stream, channel.name);
    await replicateOne(ends, theirs ?? takenAway(channel, options.clock.now()), options, tally);
  }
}

async function replicateOne(
  { source, destination }: Ends,
  channel: Channel,
  { onEvent }: ReplicationOptions,
  tally: Tally,
): Promise<void> {
  const shown = showChannel(channel);
  await tally.attempt(shown, async () => {
    const { image } = currentMove(channel);
    const before = await unlessDamaged(
      shown,
      () => undefined,
      () => destination.channel(channel.stream, channel.name),
    );
    if (isDeepStrictEqual(plain(before), plain(channel))) return;
    // A channel of the source may name an image that was deleted there all the same: none can be made so.
    if (image !== null && !(await tally.hasImage(source, image))) return;
    await destination.replaceChannel(channel, before);
    onEvent({ kind: 'channel', channel: shown, image });
    tally.changes++;
  });
}

function takenAway(channel: Channel, now: number): Channel {
  return withMove(channel, channel, { image: null, digest: null, movedAt: new Date(now).toISOString() });
}

function plain(channel: Channel | undefined): unknown {
  return channel === undefined ? undefined : { ...channel, moves: channel.moves.map(move => ({ ...move })) };
}
