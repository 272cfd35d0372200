import { DISK_BLOCK_SIZE } from '../image/disk-map.js';
import type { UnpackOutlook } from '../cloud/cloud.js';
import type { Prices, Rates } from './rates.js';
import { pricesIn } from './rates.js';
import type { StrategyName } from './target.js';

/*
 * How long publishing takes and what it costs, estimated before anything is unpacked. Pure: all that it rests on is
 * given. What unpacking will write, how fast the line is then and what AWS will take only doing it tells.
 */

/** What is known of a target where an image is to be published. */
export interface Outlook {
  readonly strategy: StrategyName;
  readonly region: string;
  /** Bytes of content that the parent has not; without a parent, all. */
  readonly newBytes: number;
  readonly hasParent: boolean;
  /** Seconds until the parent can be one. */
  readonly waitSeconds: number;
  /** The blocks that differ, where the disk is known already. */
  readonly knownBlocks: number | undefined;
  /** With the strategy `snapshot`. */
  readonly unpacker?: UnpackOutlook | undefined;
}

/** What publishing to a target is expected to take. */
export interface Estimate {
  /** Blocks of 512 KiB that are sent, or with the strategy `snapshot` stored. */
  readonly blocks: number;
  /** Seconds by stage, named as in results; `wait` is for the parent. */
  readonly stages: Readonly<Record<string, number>>;
  /** Until the image is there, from the beginning of the run. */
  readonly seconds: number;
  /** US dollars, once. */
  readonly cost: number;
  /** US dollars a month, for as long as the image is kept. */
  readonly monthlyCost: number;
}

const GIB = 2 ** 30;
const FREE: Prices = { blocksPut: 0, storageMonth: 0, volumeMonth: 0 };

/** The estimates for all targets of one run, which share the unpacking and the line. */
export function estimateRun(outlooks: readonly Outlook[], rates: Rates): Estimate[] {
  const { speeds, seconds } = rates;
  // The volume of the stream mostly holds what the best of the parents does.
  const fed = outlooks.filter(({ strategy }) => strategy !== 'snapshot');
  const least = Math.min(...fed.map(({ newBytes }) => newBytes));
  const unpack = seconds.unpack + least / speeds.unpack;
  const capture = seconds.capture + least / speeds.capture;
  const blocks = outlooks.map(outlook => blocksOf(outlook, rates));
  const sent = outlooks.map(({ strategy }, at) => (strategy === 'direct' ? blocks[at]! : 0));
  const lineSeconds = (sent.reduce((sum, each) => sum + each, 0) * DISK_BLOCK_SIZE) / speeds.line;
  return outlooks.map((outlook, at) => {
    const count = blocks[at]!;
    const stages = stagesOf(outlook, count, { unpack, capture, lineSeconds }, rates);
    const total = Object.values(stages).reduce((sum, each) => sum + each, 0);
    const { blocksPut, storageMonth, volumeMonth } =
      outlook.strategy === 'local' ? FREE : pricesIn(rates, outlook.region);
    return {
      blocks: count,
      stages,
      seconds: rounded(total, 1),
      cost: rounded((sent[at]! / 1000) * blocksPut, 4),
      monthlyCost: rounded(
        ((count * DISK_BLOCK_SIZE) / GIB) * storageMonth + addedSize(outlook) * volumeMonth,
        4,
      ),
    };
  });
}

function blocksOf({ newBytes, hasParent, knownBlocks }: Outlook, { blocks }: Rates): number {
  if (knownBlocks !== undefined) return knownBlocks;
  return Math.ceil((newBytes / DISK_BLOCK_SIZE) * (hasParent ? blocks.revision : blocks.whole));
}

/** GiB of volumes that would come to be. */
function addedSize({ unpacker }: Outlook): number {
  return unpacker === undefined ? 0 : unpacker.sizeThen - unpacker.size;
}

function stagesOf(
  outlook: Outlook,
  blocks: number,
  shared: { unpack: number; capture: number; lineSeconds: number },
  { speeds, seconds }: Rates,
): Record<string, number> {
  const { strategy, waitSeconds, newBytes, unpacker } = outlook;
  const { unpack, capture, lineSeconds } = shared;
  switch (strategy) {
    case 'local':
      return rounding({ unpack, capture, disk: (blocks * DISK_BLOCK_SIZE) / speeds.disk });
    case 'snapshot':
      // It is unpacked there, and read once, before EBS begins.
      return rounding({
        unpacker: unpacker?.runs === false ? seconds.startUnpacker : 0,
        volume: addedSize(outlook) > 0 ? seconds.makeVolume : 0,
        unpack: seconds.unpack + newBytes / speeds.unpack + seconds.capture + newBytes / speeds.capture,
        snapshot: seconds.createSnapshot,
        register: seconds.register,
      });
    case 'direct': {
      // Blocks are read once and go to all targets at the pace of the slowest.
      const send = Math.max(blocks / speeds.snapshotBlocks, lineSeconds);
      const disk = seconds.start + send + seconds.complete;
      return rounding({ unpack, capture, wait: waitSeconds, disk, register: seconds.register });
    }
  }
}

/**
 * Which of several parents an image is there soonest with: the wait until it can be one and the blocks that differ
 * taken together, as when it is published.
 */
export function soonest<T extends Pick<Outlook, 'waitSeconds' | 'newBytes' | 'knownBlocks'>>(
  choices: readonly T[],
  rates: Rates,
): T | undefined {
  const secondsOf = (choice: T): number =>
    choice.waitSeconds +
    blocksOf({ ...choice, hasParent: true, strategy: 'direct', region: '' }, rates) /
      rates.speeds.snapshotBlocks;
  return [...choices].sort((a, b) => secondsOf(a) - secondsOf(b))[0];
}

function rounding(stages: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(stages).map(([stage, seconds]) => [stage, rounded(seconds, 1)]));
}

function rounded(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
