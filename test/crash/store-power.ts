import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { imagetoolOn, json } from '../cli/imagetool/run.js';
import type { DiskEvent } from './rig/disk-log.js';
import { BrokenPromise } from './rig/examine.js';
import { DISK_NUMBER } from './rig/machine.js';
import type { Disks, Machine } from './rig/machine.js';
import { Random } from './rig/random.js';
import type { Loss } from './rig/replay.js';
import { Replay } from './rig/replay.js';
import type { Workshop } from './rig/workshop.js';

/*
 * The power goes while images are built into a store, one is deleted, and the rest is collected; all the while somebody
 * else syncs the same file system, so that what is half done gets to the disk. Whatever is listed then is whole; what was
 * acknowledged is there; and building the others gives whole images, whatever of their content is in the store already.
 */

const DISK_BYTES = 96 << 20;
const FILES = 80;
const MOST_BYTES = 80_000;
const IMAGES = ['s/1', 's/2', 's/3'] as const;
const SECTOR_BYTES = 4096;

/** Tries as many moments. Throws `BrokenPromise`. */
export async function tryStorePower({ machine }: Workshop, seed: number, count: number): Promise<object> {
  const random = new Random(seed);
  const sources = makeSources(machine, random);
  const { disks, events } = await recordBuilds(machine, sources);
  const replay = new Replay([disks.state, disks.volume], events);
  const moments = Array.from({ length: count }, () => 1 + random.below(events.length));
  const found: Record<string, number> = {};
  let lossy = 0;
  for (const moment of moments.sort((a, b) => a - b)) {
    replay.advance(moment);
    const loss: Loss = {
      kind: random.pick(['none', 'dropped', 'rising', 'falling', 'torn']),
      kept: random.next(),
      sector: SECTOR_BYTES,
    };
    const { left, lost } = replay.lose(DISK_NUMBER.state, loss, random);
    if (lost) lossy++;
    const marks = events.slice(0, moment).flatMap(event => (event.kind === 'mark' ? [event.text] : []));
    const about = `${String(moment)} of ${String(events.length)} events, after "${marks.at(-1) ?? ''}", ${loss.kind} ${loss.kept.toFixed(2)}`;
    const boot = await machine.boot({ state: left, volume: disks.volume });
    try {
      const listed = await examineStore(join(boot.root, 'store'), sources, marks);
      const key = `${String(listed)} listed`;
      found[key] = (found[key] ?? 0) + 1;
    } catch (reason) {
      throw new BrokenPromise(`${about}: ${(reason as Error).message}`, { cause: reason });
    }
    await boot.halt();
  }
  return { points: count, withLoss: lossy, ...found };
}

/** Directories to build from: each has most files of the one before. */
function makeSources(machine: Machine, random: Random): Map<string, string> {
  const files = new Map<string, Buffer>();
  const sources = new Map<string, string>();
  for (const image of IMAGES) {
    const source = join(machine.directory, 'sources', image);
    mkdirSync(source, { recursive: true });
    for (let number = 0; number < FILES; number++) {
      const name = String(number);
      if (!files.has(name) || random.chance(0.3))
        files.set(name, Buffer.alloc(1 + random.below(MOST_BYTES), `${image} ${name} `));
      writeFileSync(join(source, name), files.get(name)!);
    }
    sources.set(image, source);
  }
  return sources;
}

async function recordBuilds(
  machine: Machine,
  sources: ReadonlyMap<string, string>,
): Promise<{ disks: Disks; events: DiskEvent[] }> {
  const disks = machine.blankDisks(DISK_BYTES);
  const boot = await machine.boot(disks, { logged: true });
  const store = join(boot.root, 'store');
  const done = new AbortController();
  const syncing = syncUntil(boot.root, done.signal);
  try {
    for (const [image, source] of sources) {
      await json(store, 0, 'build', image, '--from', source);
      boot.log!.mark(`built ${image}`);
    }
    boot.log!.mark(`deleting ${IMAGES[0]}`);
    await json(store, 0, 'delete', IMAGES[0]);
    boot.log!.mark(`deleted ${IMAGES[0]}`);
    await json(store, 0, 'gc');
  } finally {
    done.abort();
    await syncing;
  }
  return { disks, events: await boot.halt() };
}

/** Syncs a file system again and again, as whoever uses it may do. */
async function syncUntil(root: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await once(spawn('sync', ['-f', root]), 'exit');
}

/** Resolves to how many images were there. */
async function examineStore(
  store: string,
  sources: ReadonlyMap<string, string>,
  marks: readonly string[],
): Promise<number> {
  const listed = await list(store);
  for (const image of listed) await requireWhole(store, image);
  for (const image of sources.keys()) {
    const isThere = listed.includes(image);
    const mayGo = marks.includes(`deleting ${image}`);
    if (marks.includes(`built ${image}`) && !mayGo && !isThere)
      throw new Error(`${image} was built and is not there`);
    if (marks.includes(`deleted ${image}`) && isThere) throw new Error(`${image} was deleted and is there`);
  }
  for (const [image, source] of sources) {
    if (!listed.includes(image)) await json(store, 0, 'build', image, '--from', source);
  }
  for (const image of sources.keys()) await requireWhole(store, image);
  await json(store, 0, 'gc');
  for (const image of sources.keys()) await requireWhole(store, image);
  const left = readdirSync(join(store, 'tmp'));
  if (left.length > 0) throw new Error(`${left.join()} is left in tmp`);
  return listed.length;
}

/** A store whose making was cut short has no images. */
async function list(store: string): Promise<string[]> {
  const { code, out } = await imagetoolOn(store, 'list', '--json');
  const said = JSON.parse(out) as { name: string }[] & { error?: { code: string } };
  if (said.error?.code === 'STORE_MISSING') return [];
  if (code !== 0) throw new Error(`The images cannot be listed: ${out}`);
  return said.map(({ name }) => name);
}

async function requireWhole(store: string, image: string): Promise<void> {
  const { ok } = (await json(store, 0, 'verify', image)) as { ok: boolean };
  if (!ok) throw new Error(`${image} is not whole`);
}
