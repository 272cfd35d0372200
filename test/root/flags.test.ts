import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { INODE_FLAGS } from '../../src/image/entry.js';
import { keyOf } from '../../src/image/inode-match.js';
import { comparePaths } from '../../src/image/path.js';
import { silentProgress } from '../../src/image/progress.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import { checkedSuperblock, currentTree } from '../../src/volume/current-tree.js';
import { openDevice } from '../../src/volume/device.js';
import { differenceOf } from '../../src/volume/difference.js';
import { patchVolume } from '../../src/volume/patch-volume.js';
import { preparePatch } from '../../src/volume/prepare-patch.js';
import { StageClock } from '../../src/volume/stage-clock.js';
import { StateDirectory } from '../../src/volume/state-directory.js';
import { beginWork } from '../../src/volume/volume-record.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * Flags that keep an inode, or the names of a directory, from being changed are taken off first and set last. Work
 * that ends in between leaves them off, also where nothing else was to be changed; the journal knows where.
 */

const { immutable, append, nodump, noatime, sync, dirsync } = INODE_FLAGS;
const metadata = { uid: 0, gid: 0, mtime: 7n, xattrs: [] };

function directory(path: string, flags = 0): Entry {
  return { ...metadata, type: 'directory', path: Buffer.from(path), mode: 0o755, flags };
}

function file(path: string, text: string, flags = 0, more: object = {}): Entry {
  const digest = sha512(Buffer.from(text));
  const content = { size: BigInt(text.length), holes: [], digest, names: [] };
  return { ...metadata, type: 'file', path: Buffer.from(path), mode: 0o644, flags, ...content, ...more };
}

function tree(...entries: Entry[]): Entry[] {
  return [directory('', immutable), ...entries].sort((a, b) => comparePaths(a.path, b.path));
}

const locked = tree(
  directory('append', append),
  file('append/log', 'one', append),
  directory('deep', immutable),
  directory('deep/deeper', immutable | append),
  file('deep/deeper/file', 'two', immutable),
  file('kept', 'one', immutable | nodump),
  directory('moved', immutable),
  file('moved/inner', 'three', immutable),
  file('linked', 'two', append, { names: [Buffer.from('linked-too')] }),
  { type: 'link', path: Buffer.from('linked-too'), target: Buffer.from('linked') },
  directory('handed-on', nodump | noatime | sync | dirsync),
  file('handed-on/file', 'one'),
  directory('goes', append),
  file('goes/too', 'one', immutable | append),
);

/** What is locked is changed in every way: content, metadata, names, places, types; some only loses its lock. */
const changed = tree(
  directory('append', append),
  file('append/log', 'two', append),
  file('append/more', 'one', immutable),
  directory('deep', immutable),
  directory('deep/deeper', immutable),
  file('deep/deeper/file', 'two', immutable, { mtime: 8n }),
  file('kept', 'one', immutable),
  directory('elsewhere', immutable),
  file('elsewhere/inner', 'three', immutable),
  file('linked', 'two', append, { names: [Buffer.from('linked-thrice')] }),
  { type: 'link', path: Buffer.from('linked-thrice'), target: Buffer.from('linked') },
  directory('handed-on', nodump | dirsync),
  file('handed-on/file', 'one'),
  file('handed-on/new', 'two', append),
  file('goes', 'three', immutable),
);

test('what is locked is changed, and locked again', async t => {
  const volume = await VolumeFixture.make(t);
  const images = [await volume.image(locked), await volume.image(changed)];
  for (const at of [0, 1, 0, 1]) {
    await volume.apply(images[at]!);
    t.deepEqual(await volume.check([locked, changed][at]!), { identical: true, differences: [] });
  }
});

/** Does the first operations of what makes a volume an image, and no more, as if the process had ended there. */
async function beginApply(volume: VolumeFixture, image: string, most: number): Promise<number> {
  const state = await StateDirectory.open(volume.stateDirectory);
  const device = await openDevice(volume.device, { write: true });
  try {
    const { store } = volume;
    const { name, digest } = await store.image(image);
    const want = await ManifestReader.open(store, Buffer.from(digest, 'hex'));
    const options = { state, verify: 'auto' as const, progress: silentProgress };
    const beforeWrite = (): Promise<void> => Promise.resolve();
    const superblock = await checkedSuperblock(device);
    const current = await currentTree(device, superblock, { ...options, beforeWrite });
    const difference = await differenceOf(current.tree.manifest, want, {});
    const given = { device, store, current, want, difference };
    const contents = new Map<string, Buffer>();
    const { plan, objects } = await preparePatch(given, { ...options, contents, clock: new StageClock() });
    const paths = [...difference.changes.map(({ path }) => path), ...plan.touched].map(keyOf);
    await beginWork(current.record!, {
      from: current.from,
      to: { name, digest },
      paths: [...new Set(paths)],
    });
    const part = { operations: plan.operations.slice(0, most), touched: [] };
    await patchVolume(device, part, { objects: objects.directory, contents, progress: silentProgress });
    await objects.close();
    await current.close();
    return plan.operations.length;
  } finally {
    await device.file.close();
    await state.close();
  }
}

test('wherever work with locked inodes ends, the next run puts everything right', async t => {
  const volume = await VolumeFixture.make(t);
  const trees = [locked, changed];
  const images = [await volume.image(locked), await volume.image(changed)];
  await volume.apply(images[0]!);
  for (let [done, all, from] = [0, 1, 0]; done <= all; done++) {
    all = await beginApply(volume, images[1 - from]!, done);
    // Going on and going back must both find what was begun.
    if (done % 2 === 0) from = 1 - from;
    t.is((await volume.apply(images[from]!)).scan, 'repair');
    t.deepEqual(
      await volume.check(trees[from]!),
      { identical: true, differences: [] },
      `after ${String(done)}`,
    );
  }
});

test('a process that is killed among locked inodes leaves a volume that the next run puts right', async t => {
  const volume = await VolumeFixture.make(t);
  const many = (text: string, flags: number): Entry[] =>
    tree(
      ...Array.from({ length: 40 }, (_, at) => at).flatMap(at => {
        const path = `d${String(at).padStart(2, '0')}`;
        const files = Array.from({ length: 50 }, (_, n) =>
          file(`${path}/${String(n).padStart(2, '0')}`, text, flags),
        );
        return [directory(path, at % 2 === 0 ? immutable : append), ...files];
      }),
    );
  const trees = [many('one', immutable), many('two', append)];
  const images = [await volume.image(trees[0]!), await volume.image(trees[1]!)];
  await volume.apply(images[0]!);
  await volume.store.close();
  for (let turn = 1; turn <= 4; turn++) {
    await killAtWork(turn * 4, volume, images[turn % 2]!);
    const { scan } = await volume.apply(images[turn % 2]!);
    t.log(`killed after ${String(turn * 4)} ms: ${scan}`);
    t.deepEqual(await volume.check(trees[turn % 2]!), { identical: true, differences: [] });
  }
});

/** Runs apply, and kills it some milliseconds after its journal is there. */
async function killAtWork(delay: number, volume: VolumeFixture, image: string): Promise<void> {
  const places = [
    '--store',
    volume.store.location,
    '--state-dir',
    volume.stateDirectory,
    '--device',
    volume.device,
  ];
  const child = spawn('bin/image-unpacker', ['apply', '--image', image, ...places], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  while (child.exitCode === null && !hasJournal(volume.stateDirectory)) await sleep(1);
  await sleep(delay);
  child.kill('SIGKILL');
  await ended;
}

function hasJournal(state: string): boolean {
  const volumes = join(state, 'volumes');
  if (!existsSync(volumes)) return false;
  return readdirSync(volumes, { recursive: true }).some(path => String(path).endsWith('/journal'));
}
