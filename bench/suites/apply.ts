import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TreeName } from '../data/prepare.js';
import { tarOf, unpackCommand } from '../data/prepare.js';
import { measure } from '../measure.js';
import { isInstalled, runCommand } from '../run-command.js';
import type { Attempt, Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';
import { FILL, inShell, MOUNT, ours, UNMOUNT } from '../workshop.js';

/* A volume that holds one tree becomes another: from the start of the process to the unmounted volume. */

const RSYNC = 'rsync -aHAX --numeric-ids --delete --exclude=/lost+found';
const FROM_TREE = '"$TREE/" "$MOUNT_POINT/"';
/** Makes what is on $DEVICE the same as $TREE. */
export const SYNC = `${MOUNT} && ${RSYNC} ${FROM_TREE} && ${UNMOUNT}`;
const PEERS: Readonly<Record<string, string>> = {
  rsync: SYNC,
  'rsync --inplace': `${MOUNT} && ${RSYNC} --inplace --no-whole-file ${FROM_TREE} && ${UNMOUNT}`,
  'mkfs and tar': FILL,
};
/** The output as its own seed would fail: casync still reads from it what it has replaced. */
const CASYNC = `${MOUNT} && casync extract --seed-output=no --store="$CHUNKS" "$INDEX" "$MOUNT_POINT" && ${UNMOUNT}`;

/** A server is updated, edited, and left as it is. */
export function applySuite(workshop: Workshop): Promise<Task[]> {
  return tasksOf(workshop, 'A', ['B', 'C', 'A']);
}

/** A server of other packages, which nothing was tuned to, is updated. */
export function otherSuite(workshop: Workshop): Promise<Task[]> {
  return tasksOf(workshop, 'D', ['E']);
}

/** One in a hundred of many small files is changed, in three trees that were made from different seeds. */
export async function manySuite(workshop: Workshop): Promise<Task[]> {
  const tasks: Task[] = [];
  for (const [from, to] of [
    ['S0', 'S1'],
    ['T0', 'T1'],
    ['U0', 'U1'],
  ] as const) {
    tasks.push(...(await tasksOf(workshop, from, [to])));
  }
  return tasks;
}

async function tasksOf(workshop: Workshop, from: TreeName, targets: readonly TreeName[]): Promise<Task[]> {
  const casync = await isInstalled('casync');
  return targets.map(to => {
    const peers = Object.entries(PEERS).map(([tool, script]) => peer(workshop, from, to, tool, script));
    const contestants = [ourTool(workshop, from, to), ...peers];
    if (casync) contestants.push(casyncOf(workshop, from, to));
    return { title: `apply ${from} → ${to}, cold`, base: 'rsync', contestants };
  });
}

/** Our tool, which turns a volume with one tree into another. */
export function ourTool(workshop: Workshop, from: TreeName, to: TreeName): Contestant {
  const { signal, store } = workshop;
  return {
    tool: 'image-unpacker',
    attempt: async examine => {
      const image = await workshop.image(to);
      return workshop.withOurs(from, async (device, state) => {
        const places = ['--device', device, '--store', store, '--state-dir', state, '--image', image];
        const words = ours('image-unpacker', 'apply', '--json', ...places);
        const { cost } = await measure(words, { cold: true, device, signal });
        if (!examine) return { cost };
        await runCommand(ours('image-unpacker', 'check', ...places), { signal });
        return { cost, result: await workshop.compare(device, to) };
      });
    },
  };
}

/** Another tool that does the same: `script` is what a shell is told. */
export function peer(
  workshop: Workshop,
  from: TreeName,
  to: TreeName,
  tool: string,
  script: string,
): Contestant {
  const environment = workshop.environment(to);
  return { tool, attempt: examine => attemptOf(workshop, from, to, script, environment, examine) };
}

function attemptOf(
  workshop: Workshop,
  from: TreeName,
  to: TreeName,
  script: string,
  variables: Readonly<Record<string, string>>,
  examine: boolean,
): Promise<Attempt> {
  return workshop.withPeer(from, async device => {
    const environment = { ...variables, DEVICE: device };
    const { cost } = await measure(inShell(script), {
      cold: true,
      device,
      environment,
      signal: workshop.signal,
    });
    return examine ? { cost, result: await workshop.compare(device, to) } : { cost };
  });
}

function casyncOf(workshop: Workshop, from: TreeName, to: TreeName): Contestant {
  return {
    tool: 'casync',
    attempt: async examine => {
      const environment = { ...workshop.environment(to), ...(await casyncIndex(workshop, to)) };
      return attemptOf(workshop, from, to, CASYNC, environment, examine);
    },
  };
}

/** Makes the chunks of a tree, which take long and are kept beside it. casync cannot unpack the longest names. */
async function casyncIndex(workshop: Workshop, name: TreeName): Promise<Readonly<Record<string, string>>> {
  const directory = join(workshop.data.directory, 'casync');
  const INDEX = join(directory, `${name}.caidx`);
  const CHUNKS = join(directory, 'chunks');
  if (existsSync(INDEX)) return { INDEX, CHUNKS };
  await mkdir(directory, { recursive: true });
  const tree = workshop.path('casync-tree');
  await mkdir(tree);
  const { signal } = workshop;
  const withoutLong = ['--no-wildcards-match-slash', `--exclude=${'?'.repeat(230)}*`];
  await runCommand([...unpackCommand(tarOf(workshop.data, name), tree), ...withoutLong], { signal });
  await runCommand(['casync', 'make', '--with=best', `--store=${CHUNKS}`, INDEX, tree], { signal });
  await rm(tree, { recursive: true });
  return { INDEX, CHUNKS };
}
