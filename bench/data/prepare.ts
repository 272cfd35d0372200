import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../run-command.js';
import { changeSmallFiles, editServer, makeServer, makeSmallFiles, updateServer } from './make-tree.js';

/*
 * The trees that everything is measured with, in one directory and kept there: A.tar, B.tar and C.tar are
 * a server, an update of it and six edits of it, S0.tar and S1.tar many small files and a change of them.
 * Each is unpacked as trees/NAME once, for the tools that read a tree. What is there is used as it is.
 */

export type TreeName = 'A' | 'B' | 'C' | 'S0' | 'S1';

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
  if ((['A', 'B', 'C'] as const).some(isMissing)) await makeServerTars(data, options);
  if ((['S0', 'S1'] as const).some(isMissing)) await makeSmallTars(data, options);
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

async function makeServerTars(data: Data, { synthetic, signal, say }: DataOptions): Promise<void> {
  say('making the trees A, B and C');
  await remake(data, async root => {
    const origin = await makeServer(root, synthetic, signal);
    await pack(data, 'A', root, signal);
    const copy = `${root}-copy`;
    await runCommand(['cp', '--archive', '--sparse=always', root, copy], { signal });
    await updateServer(copy, signal);
    await pack(data, 'B', copy, signal);
    await editServer(root);
    await pack(data, 'C', root, signal);
    await writeFile(join(data.directory, 'origin'), `${origin}\n`);
  });
}

async function makeSmallTars(data: Data, { synthetic, signal, say }: DataOptions): Promise<void> {
  say('making the trees S0 and S1');
  const count = synthetic ? 50_000 : 200_000;
  await remake(data, async root => {
    await makeSmallFiles(root, count, signal);
    await pack(data, 'S0', root, signal);
    await changeSmallFiles(root, signal);
    await pack(data, 'S1', root, signal);
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
