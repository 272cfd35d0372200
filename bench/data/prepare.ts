import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../run-command.js';
import {
  addPart,
  changePart,
  changeSmallFiles,
  editServer,
  makeServer,
  makeSmallFiles,
  SERVERS,
  updateServer,
} from './make-tree.js';

/*
 * The trees that everything is measured with, in one directory and kept there: A.tar, B.tar and C.tar are
 * a server, an update of it and six edits of it; D.tar and E.tar a server of other packages and an update of it; S0.tar and S1.tar many small files and a change of them, T and
 * U the same from other seeds; G1.tar, G2.tar and G4.tar a tree and twice and four times as much, H1.tar to
 * H4.tar the same with one change. Each is unpacked as trees/NAME once, for the tools that read a tree. What is there is used as it is.
 */

const SERVER = ['A', 'B', 'C'] as const;
const OTHER_SERVER = ['D', 'E'] as const;
/** Trees of small files, each with the tree that it becomes, and the seed that they are made from. */
const SMALL = [
  { from: 'S0', to: 'S1', seed: '1' },
  { from: 'T0', to: 'T1', seed: '2' },
  { from: 'U0', to: 'U1', seed: '3' },
] as const;
/** Trees of 1, 2 and 4 parts, each with the tree that it becomes when its first part changes. */
const GROWN = [
  { parts: 1, from: 'G1', to: 'H1' },
  { parts: 2, from: 'G2', to: 'H2' },
  { parts: 4, from: 'G4', to: 'H4' },
] as const;

type Made = (typeof SMALL)[number] | (typeof GROWN)[number];
export type TreeName = (typeof SERVER | typeof OTHER_SERVER)[number] | Made['from'] | Made['to'];

export interface Data {
  directory: string;
  /** What the trees are. */
  origin: string;
  /** As much as holds each of the trees twice, in whole GiB. */
  volumeBytes: number;
}

export interface DataOptions {
  /** Whether to make no Debian tree although it could be made. */
  synthetic: boolean;
  signal: AbortSignal;
  say: (text: string) => void;
}

export function tarOf(data: Data, name: TreeName): string {
  return join(data.directory, `${name}.tar`);
}

export function treeOf(data: Data, name: TreeName): string {
  return join(data.directory, 'trees', name);
}

/** Sees to it that the trees `names` are there. */
export async function prepareData(
  directory: string,
  names: readonly TreeName[],
  options: DataOptions,
): Promise<Data> {
  await mkdir(join(directory, 'trees'), { recursive: true });
  const data = { directory, origin: '', volumeBytes: 0 };
  const isMissing = (name: TreeName): boolean => names.includes(name) && !existsSync(tarOf(data, name));
  if (SERVER.some(isMissing)) await makeServerTars(data, options);
  if (OTHER_SERVER.some(isMissing)) await makeOtherServerTars(data, options);
  for (const small of SMALL) {
    if (isMissing(small.from) || isMissing(small.to)) await makeSmallTars(data, small, options);
  }
  if (GROWN.some(({ from, to }) => isMissing(from) || isMissing(to))) await makeGrownTars(data, options);
  for (const name of names) await unpack(data, name, options);
  const sizes = await Promise.all(names.map(async name => (await stat(tarOf(data, name))).size));
  const volumeBytes = Math.ceil((2 * Math.max(...sizes, 1)) / 2 ** 30) * 2 ** 30;
  const origin = join(directory, 'origin');
  return {
    ...data,
    volumeBytes,
    origin: existsSync(origin) ? (await readFile(origin, 'utf8')).trim() : 'the trees that were there',
  };
}

async function makeServerTars(data: Data, options: DataOptions): Promise<void> {
  const { signal, say } = options;
  say('making the trees A, B and C');
  await remake(data, async root => {
    const origin = await makeServer(root, SERVERS.web, options);
    await pack(data, 'A', root, signal);
    const copy = `${root}-copy`;
    await runCommand(['cp', '--archive', '--sparse=always', root, copy], { signal });
    await updateServer(copy, SERVERS.web, signal);
    await pack(data, 'B', copy, signal);
    await editServer(root);
    await pack(data, 'C', root, signal);
    await writeFile(join(data.directory, 'origin'), `${origin}\n`);
  });
}

async function makeOtherServerTars(data: Data, options: DataOptions): Promise<void> {
  const { signal, say } = options;
  say('making the trees D and E');
  await remake(data, async root => {
    await makeServer(root, SERVERS.other, options);
    await pack(data, 'D', root, signal);
    await updateServer(root, SERVERS.other, signal);
    await pack(data, 'E', root, signal);
  });
}

async function makeSmallTars(
  data: Data,
  { from, to, seed }: (typeof SMALL)[number],
  { synthetic, signal, say }: DataOptions,
): Promise<void> {
  say(`making the trees ${from} and ${to}`);
  const count = synthetic ? 50_000 : 200_000;
  await remake(data, async root => {
    await makeSmallFiles(root, count, seed, signal);
    await pack(data, from, root, signal);
    await changeSmallFiles(root, seed, signal);
    await pack(data, to, root, signal);
  });
}

/** All trees with the change have the same first part. */
async function makeGrownTars(data: Data, { synthetic, signal, say }: DataOptions): Promise<void> {
  say('making the trees G1 to G4 and H1 to H4');
  const count = synthetic ? 10_000 : 50_000;
  await remake(data, async root => {
    const changed = `${root}-changed`;
    let part = 0;
    for (const { parts, from, to } of GROWN) {
      while (part < parts) await addPart(root, part++, count, signal);
      await pack(data, from, root, signal);
      await runCommand(['rm', '--recursive', '--force', changed], { signal });
      await runCommand(['cp', '--archive', root, changed], { signal });
      await changePart(changed, signal);
      await pack(data, to, changed, signal);
    }
  });
}

async function remake(data: Data, work: (root: string) => Promise<void>): Promise<void> {
  const directory = join(data.directory, 'making');
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory);
  try {
    await work(join(directory, 'tree'));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** All that a tree holds, and no time of reading or changing it. */
const PACK =
  '--create --sparse --acls --xattrs --xattrs-include=* --numeric-owner --sort=name --format=posix';
const UNPACK =
  '--extract --acls --xattrs --xattrs-include=* --numeric-owner --same-owner --preserve-permissions';
const NO_OTHER_TIMES = '--pax-option=delete=atime,delete=ctime';

/** The command that unpacks a tar file of ours, exactly, into a directory. */
export function unpackCommand(tar: string, directory: string): string[] {
  return ['tar', ...UNPACK.split(' '), `--file=${tar}`, `--directory=${directory}`];
}

async function pack(data: Data, name: TreeName, root: string, signal: AbortSignal): Promise<void> {
  const tar = tarOf(data, name);
  const words = ['tar', ...PACK.split(' '), NO_OTHER_TIMES, `--file=${tar}.new`, `--directory=${root}`, '.'];
  await runCommand(words, { signal });
  // A tree that was unpacked before is not that of this tar file.
  await rm(`${treeOf(data, name)}.done`, { force: true });
  await rename(`${tar}.new`, tar);
}

async function unpack(data: Data, name: TreeName, { signal, say }: DataOptions): Promise<void> {
  const tree = treeOf(data, name);
  if (existsSync(`${tree}.done`)) return;
  say(`unpacking the tree ${name}`);
  await rm(tree, { recursive: true, force: true });
  await mkdir(tree);
  await runCommand(unpackCommand(tarOf(data, name), tree), { signal });
  await writeFile(`${tree}.done`, '');
}
