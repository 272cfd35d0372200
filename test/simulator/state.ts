import { createHash } from 'node:crypto';
import type { Clock } from '../../src/cloud/aws/clock.js';

/*
 * What accounts and regions hold. Blocks are kept once, by their digest. Times are milliseconds of the clock.
 */

export const BLOCK_BYTES = 524_288;

/** Seconds that transitions take, about as they were seen of AWS. */
export interface Timing {
  complete: number;
  readable: number;
  refused: number;
}

export const USUAL_TIMING: Timing = { complete: 1.5, readable: 45, refused: 20 };

/** Seconds that transitions of instances and volumes take, and snapshots of volumes. */
export const USUAL_FLEET_TIMING = {
  start: 8,
  stop: 20,
  createVolume: 2,
  attach: 3,
  detach: 2,
  modify: 2,
  snapshot: 60,
};

export interface Snapshot {
  id: string;
  size: number;
  tags: Map<string, string>;
  description: string;
  startedAt: number;
  parent: Snapshot | undefined;
  /** Digests of the blocks that were put, by number. */
  blocks: Map<number, string>;
  encrypted: boolean;
  keyArn: string | undefined;
  sealedAt: number | undefined;
  /** What is found wrong when it is sealed. */
  fault: string | undefined;
}

export interface Image {
  id: string;
  name: string;
  createdAt: number;
  tags: Map<string, string>;
  /** As RegisterImage got it. */
  request: Record<string, string>;
  snapshotId: string;
  launchPermissions: Set<string>;
  deprecateAt: string | undefined;
  /** Further disks before the root: a snapshot each, or none for one of the machine itself. */
  more?: (string | undefined)[];
}

/** An account in a region. */
export class Place {
  readonly account: string;
  readonly region: string;
  readonly snapshots = new Map<string, Snapshot>();
  readonly images = new Map<string, Image>();
  readonly parameters = new Map<string, { value: string; version: number; history?: string[] }>();
  /** What StartSnapshot answered, by its token: for ever. */
  readonly tokens = new Map<string, { body: string; snapshot: Snapshot }>();
  /** Aliases of keys. */
  readonly keys = new Map<string, { arn: string; manager: 'AWS' | 'CUSTOMER'; state: string }>();

  constructor(account: string, region: string) {
    this.account = account;
    this.region = region;
    this.addKey('alias/aws/ebs', 'AWS');
  }

  addKey(alias: string, manager: 'AWS' | 'CUSTOMER'): string {
    const id = createHash('sha256').update(`${this.account}${this.region}${alias}`).digest('hex');
    const arn = `arn:aws:kms:${this.region}:${this.account}:key/${id.slice(0, 8)}-0000-0000-0000-${id.slice(8, 20)}`;
    this.keys.set(alias, { arn, manager, state: 'Enabled' });
    return arn;
  }

  findKey(id: string) {
    return this.keys.get(id) ?? [...this.keys.values()].find(({ arn }) => arn === id);
  }
}

/** All accounts and regions. */
export class World {
  readonly clock: Clock;
  readonly timing: Timing;
  fleetTiming = USUAL_FLEET_TIMING;
  /** How many images or snapshots come on a page at most. */
  pageSize = 1000;
  readonly #places = new Map<string, Place>();
  readonly blocks = new Map<string, Buffer>();
  readonly #images = new Set<string>();
  /** How many ids were given out; where others see what has them, it begins elsewhere. */
  ids = 0;

  constructor(clock: Clock, timing: Timing = USUAL_TIMING) {
    this.clock = clock;
    this.timing = timing;
  }

  place(account: string, region: string): Place {
    const key = `${account}/${region}`;
    const place = this.#places.get(key) ?? new Place(account, region);
    this.#places.set(key, place);
    return place;
  }

  /** The regions that an account has enabled. */
  enabledRegions: (account: string) => string[] = () => ['us-east-1'];

  get places(): Place[] {
    return [...this.#places.values()];
  }

  id(kind: string): string {
    return `${kind}-0${(++this.ids).toString(16).padStart(16, '0')}`;
  }

  newImage(): string {
    const id = this.id('ami');
    this.#images.add(id);
    return id;
  }

  /** Whether there ever was such an image: one that was deregistered is answered otherwise than one that never was. */
  wasImage(id: string): boolean {
    return this.#images.has(id);
  }

  keep(block: Buffer): string {
    const digest = createHash('sha256').update(block).digest('hex');
    if (!this.blocks.has(digest)) this.blocks.set(digest, Buffer.from(block));
    return digest;
  }

  stateOf({ sealedAt, fault }: Snapshot): 'pending' | 'completed' | 'error' {
    if (sealedAt === undefined) return 'pending';
    const seconds = (this.clock.now() - sealedAt) / 1000;
    if (fault !== undefined) return seconds >= this.timing.refused ? 'error' : 'pending';
    return seconds >= this.timing.complete ? 'completed' : 'pending';
  }

  /** Whether the direct API knows a snapshot as complete, which it learns long after EC2. */
  isReadable(snapshot: Snapshot): boolean {
    const { complete, readable } = this.timing;
    const since = snapshot.sealedAt ?? Infinity;
    return this.stateOf(snapshot) === 'completed' && (this.clock.now() - since) / 1000 >= complete + readable;
  }

  /** The digests of all blocks that a snapshot shows, its parent's included. */
  contentOf(snapshot: Snapshot): Map<number, string> {
    const below = snapshot.parent === undefined ? new Map<number, string>() : this.contentOf(snapshot.parent);
    return new Map([...below, ...snapshot.blocks].sort(([a], [b]) => a - b));
  }
}
