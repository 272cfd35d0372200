import type { Channel, ChannelMove } from '../../store/channel.js';
import { currentMove, showChannel } from '../../store/channel.js';

/** What is printed of a channel, as JSON. */
export interface ChannelRow extends ChannelMove {
  channel: string;
}

export function toChannelRow(channel: Channel): ChannelRow {
  return { channel: showChannel(channel), ...currentMove(channel) };
}
