import { deepStrictEqual } from 'node:assert';
import { join } from 'node:path';
import { LocalTarget } from '../../src/cloud/local/local-target.js';
import { resume } from '../../src/publisher/resume.js';
import { runs } from '../../src/publisher/runs.js';
import { localTarget } from '../../src/publisher/target.js';
import { diskOf, Shop, STREAM } from '../publisher/shop.js';
import type { DiskEvent } from './rig/disk-log.js';
import { BrokenPromise } from './rig/examine.js';
import type { Disks, Machine } from './rig/machine.js';
import { DISK_NUMBER } from './rig/machine.js';
import { Random } from './rig/random.js';
import type { Loss } from './rig/replay.js';
import { Replay } from './rig/replay.js';
import type { Workshop } from './rig/workshop.js';

/*
 * The power goes while two revisions are published to a raw and a qcow2 target, which are on the disk that it goes of,
 * as is the publisher's journal. What was published is there, exact; and resuming the run, or publishing again, ends
 * with exactly one image of each revision.
 */

const DISK_BYTES = 128 << 20;
const SECTOR_BYTES = 4096;
const FORMATS = ['raw', 'qcow2'] as const;
const REVISIONS = [1, 2] as const;

/** Tries as many moments. Throws `BrokenPromise`. */
export async function tryPublisherPower({ machine }: Workshop, seed: number, count: number): Promise<object> {
  const random = new Random(seed);
  const { disks, events } = await recordPublishing(machine);
  const replay = new Replay([disks.state, disks.volume], events);
  const ready = events.findIndex(event => event.kind === 'mark');
  const moments = Array.from({ length: count }, () => ready + 1 + random.below(events.length - ready));
  const ways: Record<string, number> = {};
  let withLoss = 0;
  for (const moment of moments.sort((a, b) => a - b)) {
    replay.advance(moment);
    const kind = random.pick(['none', 'dropped', 'rising', 'falling', 'torn'] as const);
    const loss: Loss = { kind, kept: random.next(), sector: SECTOR_BYTES };
    const { left, lost } = replay.lose(DISK_NUMBER.state, loss, random);
    if (lost) withLoss++;
    const done = events.slice(ready, moment).filter(event => event.kind === 'mark').length - 1;
    const boot = await machine.boot({ state: left, volume: disks.volume });
    try {
      const way = await putRight(join(boot.root, 'shop'), done, random);
      ways[way] = (ways[way] ?? 0) + 1;
    } catch (reason) {
      const about = `${String(moment - ready)} of ${String(events.length - ready)} events, ${kind} ${loss.kept.toFixed(2)}`;
      throw new BrokenPromise(`${about}: ${(reason as Error).message}`, { cause: reason });
    }
    await boot.halt();
  }
  return { points: count, withLoss, ...ways };
}

async function recordPublishing(machine: Machine): Promise<{ disks: Disks; events: DiskEvent[] }> {
  const disks = machine.blankDisks(DISK_BYTES);
  const boot = await machine.boot(disks, { logged: true });
  const shop = await Shop.open(join(boot.root, 'shop'));
  boot.log!.mark('ready');
  for (const revision of REVISIONS) {
    await publish(shop, revision);
    boot.log!.mark('published');
  }
  await shop.store.close();
  return { disks, events: await boot.halt() };
}

async function publish(shop: Shop, revision: number): Promise<void> {
  const targets = FORMATS.map(format => localTarget(shop.path(format), format));
  for (const row of await shop.publish(revision, { targets }))
    if (row.Error !== undefined) throw new Error(row.Error);
}

/** Resumes what was interrupted, or publishes again; resolves to what was done. `done` revisions were published. */
async function putRight(directory: string, done: number, random: Random): Promise<string> {
  const shop = await Shop.open(directory);
  try {
    for (const format of FORMATS) await requireImages(shop, format, leaves => leaves.length >= done);
    const run = (await runs(shop)).find(({ State }) => State === 'interrupted')?.Run;
    const resumed = run !== undefined && random.chance(0.5);
    if (resumed) {
      for (const row of await resume(run, shop.options))
        if (row.Error !== undefined) throw new Error(row.Error);
    }
    for (const revision of REVISIONS) await publish(shop, revision);
    for (const format of FORMATS)
      await requireImages(shop, format, leaves => leaves.length === REVISIONS.length);
    return run === undefined ? 'nothing interrupted' : resumed ? 'resumed' : 'published again';
  } finally {
    await shop.store.close();
  }
}

/** A target has revisions from the first on, each once, as many as `fit`, and their disks are exact. */
async function requireImages(
  shop: Shop,
  format: string,
  fit: (leaves: readonly number[]) => boolean,
): Promise<void> {
  const target = await LocalTarget.open(shop.path(format), { format: 'raw', write: false });
  const images = (await target.images()).filter(({ fault }) => fault === undefined);
  const leaves = REVISIONS.slice(0, images.length);
  const names = images.map(({ tags }) => tags['ImageName']);
  deepStrictEqual(
    names,
    leaves.map(leaf => `${STREAM}/${String(leaf)}`),
  );
  if (!fit(leaves)) throw new Error(`${format} has ${String(leaves.length)} revisions`);
  for (const [at, { id }] of images.entries())
    deepStrictEqual(await target.readBack(id), diskOf(leaves[at]!).map);
}
