import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { parseConfiguration, section } from '../image/configuration.js';
import { ImageUnpackerError } from '../image/error.js';

/*
 * What plans are estimated with. A file of it is YAML, of which any part may be left out:
 *
 *   prices:                         US dollars
 *     blocksPut                     for a thousand blocks that are sent by the EBS direct API
 *     storageMonth                  for a GiB of snapshots for a month
 *     volumeMonth                   for a GiB of volumes (gp3) for a month
 *   regions: { REGION: { … } }      the same, of regions where they are others
 *   speeds:
 *     unpack, capture, line, disk   bytes a second: of unpacking, of capturing, of the line to AWS, of a local disk
 *     snapshotBlocks                blocks a second that one snapshot takes
 *   seconds:                        that each of these takes, whatever its size
 *     unpack, capture, start, complete, register, createSnapshot
 *     startUnpacker, makeVolume     that an unpacker takes to come up, and a volume to be there
 *   blocks:                         blocks that are sent for each block's worth of new content
 *     revision, whole               where there is a parent, and where there is none
 *   quotas:                         what AWS allows in an account and region
 *     images, snapshots, pendingSnapshots
 */

/** US dollars. */
export interface Prices {
  readonly blocksPut: number;
  readonly storageMonth: number;
  readonly volumeMonth: number;
}

export interface Rates {
  readonly prices: Prices;
  readonly regions: Readonly<Record<string, Partial<Prices>>>;
  readonly speeds: Readonly<Record<'unpack' | 'capture' | 'line' | 'disk' | 'snapshotBlocks', number>>;
  readonly seconds: Readonly<
    Record<
      | 'unpack'
      | 'capture'
      | 'start'
      | 'complete'
      | 'register'
      | 'createSnapshot'
      | 'startUnpacker'
      | 'makeVolume',
      number
    >
  >;
  readonly blocks: Readonly<Record<'revision' | 'whole', number>>;
  readonly quotas: Readonly<Record<'images' | 'snapshots' | 'pendingSnapshots', number>>;
}

const MIB = 2 ** 20;

/**
 * What holds where nothing else is said. Prices are those that AWS lists for us-east-1, without taxes, discounts or
 * what keys and parameters cost; quotas are those that an account begins with. Speeds are careful ones.
 */
export const USUAL_RATES: Rates = {
  prices: { blocksPut: 0.006, storageMonth: 0.05, volumeMonth: 0.08 },
  regions: {},
  speeds: { unpack: 200 * MIB, capture: 400 * MIB, line: 100 * MIB, disk: 200 * MIB, snapshotBlocks: 300 },
  // EBS took 1 to 4 s to complete a snapshot whose blocks were there, and 46 to 79 s for one of a volume.
  // An instance runs after 10 s, and its agent answers when its system is up. A volume is made, attached and seen.
  seconds: {
    unpack: 2,
    capture: 1,
    start: 1,
    complete: 3,
    register: 2,
    createSnapshot: 80,
    startUnpacker: 60,
    makeVolume: 10,
  },
  // Content is spread over blocks, and what it replaces is freed in others, which are zeros then.
  blocks: { revision: 2, whole: 1.2 },
  quotas: { images: 50_000, snapshots: 100_000, pendingSnapshots: 100 },
};

const MOST_BYTES = 1 << 20;
const positive = v.pipe(v.number('a number is expected'), v.finite(), v.gtValue(0, 'it must be above 0'));
const amount = v.pipe(v.number('a number is expected'), v.finite(), v.minValue(0, 'it must not be negative'));
const whole = v.pipe(positive, v.integer('a whole number is expected'));

/** A mapping of any of these keys. */
function some<K extends string, S extends v.GenericSchema<number>>(keys: readonly K[], schema: S) {
  const entries = Object.fromEntries(keys.map(key => [key, v.optional(schema)])) as Record<
    K,
    v.OptionalSchema<S, undefined>
  >;
  return v.optional(section(entries), {} as v.InferInput<ReturnType<typeof section<typeof entries>>>);
}

const keysOf = <T extends object>(of: T): (keyof T & string)[] => Object.keys(of) as (keyof T & string)[];
const prices = some(keysOf(USUAL_RATES.prices), amount);
const schema = section({
  prices,
  regions: v.optional(v.record(v.string(), prices), {}),
  speeds: some(keysOf(USUAL_RATES.speeds), positive),
  seconds: some(keysOf(USUAL_RATES.seconds), amount),
  blocks: some(keysOf(USUAL_RATES.blocks), positive),
  quotas: some(keysOf(USUAL_RATES.quotas), whole),
});

/** The rates that a text gives, those that it leaves out being the usual ones. Throws `CONFIGURATION`. */
export function parseRates(text: string, file: string): Rates {
  const given = parseConfiguration(text, file, schema);
  const { prices, speeds, seconds, blocks, quotas } = USUAL_RATES;
  return {
    prices: merged(prices, given.prices),
    regions: Object.fromEntries(
      Object.entries(given.regions).map(([region, own]) => [region, defined(own as Partial<Prices>)]),
    ),
    speeds: merged(speeds, given.speeds),
    seconds: merged(seconds, given.seconds),
    blocks: merged(blocks, given.blocks),
    quotas: merged(quotas, given.quotas),
  };
}

/** The rates in a file. Throws `CONFIGURATION`. */
export async function readRates(file: string): Promise<Rates> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new ImageUnpackerError('CONFIGURATION', `Cannot read ${file}: ${why}`, { path: file }, reason);
  }
  if (text.length > MOST_BYTES)
    throw new ImageUnpackerError('CONFIGURATION', `${file} is too large to be one of rates`, { path: file });
  return parseRates(text, file);
}

/** What things cost in a region. */
export function pricesIn({ prices, regions }: Rates, region: string): Prices {
  return { ...prices, ...(Object.hasOwn(regions, region) ? regions[region] : {}) };
}

function merged<T extends object>(usual: T, given: object): T {
  return { ...usual, ...defined(given) };
}

function defined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}
