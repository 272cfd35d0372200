import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { BLOCK_SIZE, type Entry } from '../../../src/image/entry.js';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { readRuns, type BlockReader } from '../../../src/volume/ext4/block-reader.js';
import { refuseDamage, type Report } from '../../../src/volume/ext4/damage.js';
import { deviceReader } from '../../../src/volume/ext4/device-reader.js';
import { surveyVolume } from '../../../src/volume/ext4/survey.js';
import { readTree } from '../../../src/volume/ext4/tree.js';
import { openVolume } from '../../../src/volume/ext4/volume.js';

const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ext4-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

function run(command: string, ...parameters: string[]): void {
  execFileSync(command, parameters, { stdio: 'pipe', env: { ...process.env, PATH } });
}

/** An image of a small tree, made without a mount. */
function makeImage(t: ExecutionContext, features = '', ...options: string[]): string {
  const directory = temporaryDirectory(t);
  const [tree, image] = [join(directory, 'tree'), join(directory, 'image')];
  mkdirSync(join(tree, 'a', 'b'), { recursive: true });
  writeFileSync(join(tree, 'a', 'file'), 'content');
  writeFileSync(join(tree, 'a', 'b', 'large'), Buffer.alloc(2_500_000, 'large'));
  writeFileSync(join(tree, 'a.b'), '');
  linkSync(join(tree, 'a', 'file'), join(tree, 'link'));
  symlinkSync('target', join(tree, 'symlink'));
  symlinkSync('long '.repeat(50), join(tree, 'symlink-long'));
  for (let number = 0; number < 300; number++)
    writeFileSync(join(tree, 'a', 'b', `name-${String(number)}`), 'x');
  utimesSync(join(tree, 'a.b'), 0, 1_000_000_000);
  writeFileSync(image, '');
  truncateSync(image, 48 << 20);
  const wanted = `^orphan_file,^metadata_csum_seed${features}`;
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-O', wanted, ...options, '-d', tree, image);
  return image;
}

async function readImage(image: string, report: Report = refuseDamage, offset = 0): Promise<Entry[]> {
  const file = await open(image);
  try {
    const size = BigInt((await file.stat()).size);
    const tree = await readTree(await openVolume(deviceReader({ path: image, file, size }, offset), report));
    return [...tree.entries];
  } finally {
    await file.close();
  }
}

function assertTree(t: ExecutionContext, entries: readonly Entry[], name: string): void {
  const find = (path: string): Entry | undefined => entries.find(entry => entry.path.toString() === path);
  const sha512 = (content: string): string => createHash('sha512').update(content).digest('hex');
  t.is(entries.length, 309, name);
  t.deepEqual(
    entries.slice(0, 5).map(entry => entry.path.toString()),
    ['', 'a', 'a/b', 'a/b/large', 'a/b/name-0'],
    name,
  );
  const [file, large, empty] = [find('a/file'), find('a/b/large'), find('a.b')];
  t.true(file?.type === 'file' && file.digest?.toString('hex') === sha512('content'), name);
  t.true(file?.type === 'file' && file.names.length === 1 && file.names[0]!.toString() === 'link', name);
  t.true(large?.type === 'file' && large.digest?.toString('hex') === sha512('large'.repeat(500_000)), name);
  t.true(empty?.type === 'file' && empty.digest === null && empty.mtime === 1_000_000_000_000_000_000n, name);
  t.deepEqual(find('link'), { type: 'link', path: Buffer.from('link'), target: Buffer.from('a/file') }, name);
  const targets = ['symlink', 'symlink-long'].map(find);
  t.deepEqual(
    targets.map(entry => entry?.type === 'symlink' && entry.target.toString()),
    ['target', 'long '.repeat(50)],
    name,
  );
}

const VARIANTS: [features: string, ...options: string[]][] = [
  [''],
  [',^64bit'],
  [',^has_journal'],
  [',^resize_inode'],
  [',^flex_bg'],
  [',^sparse_super,^resize_inode', '-g', '2048'],
  ['', '-g', '1024'],
  ['', '-I', '512'],
  ['', '-N', '5000'],
  [',^metadata_csum_seed,ea_inode'],
];

test('the tree is read whatever the geometry and the features', async t => {
  for (const variant of VARIANTS) {
    const image = makeImage(t, ...variant);
    assertTree(
      t,
      (await readImage(image)).filter(entry => !entry.path.equals(Buffer.from('lost+found'))),
      variant.join(' '),
    );
  }
});

test('the checksum seed is taken from the superblock where it stands there', async t => {
  const image = makeImage(t);
  run('tune2fs', '-O', 'metadata_csum_seed', image);
  run('tune2fs', '-U', 'random', image);
  t.is((await readImage(image)).length, 310);
});

test('a file system behind an offset is read', async t => {
  const image = makeImage(t);
  const shifted = `${image}.shifted`;
  writeFileSync(shifted, Buffer.concat([Buffer.alloc(1 << 20, 'other'), await readFile(image)]));
  t.deepEqual(await readImage(shifted, refuseDamage, 1 << 20), await readImage(image));
});

const UNSUPPORTED: [features: string, named: RegExp][] = [
  [',inline_data', /inline_data/],
  [',^metadata_csum', /lacks features that are needed: metadata_csum/],
  [',quota', /quota/],
  [',^resize_inode,meta_bg', /meta_bg/],
  [',bigalloc', /bigalloc/],
  [',^extent,^64bit', /extent/],
];

test('features that are not understood are named', async t => {
  for (const [features, message] of UNSUPPORTED) {
    const error = await t.throwsAsync(
      readImage(makeImage(t, features)),
      { instanceOf: ImageUnpackerError },
      features,
    );
    t.is(error.code, 'UNSUPPORTED', features);
    t.regex(error.message, message);
  }
});

test('an image that is cut off is damaged', async t => {
  const image = makeImage(t);
  truncateSync(image, 40 << 20);
  await t.throwsAsync(readImage(image), { code: 'VOLUME_DAMAGED' });
  truncateSync(image, 100);
  await t.throwsAsync(readImage(image), { code: 'VOLUME_DAMAGED' });
});

/** The blocks of an image that is in memory. */
function blocksOf(image: Buffer): BlockReader {
  return {
    blocks: image.length / BLOCK_SIZE,
    read: (block, count, into) => {
      image.copy(into, 0, block * BLOCK_SIZE, (block + count) * BLOCK_SIZE);
      return Promise.resolve();
    },
  };
}

test('whatever the damage, reading ends, with the tree or a clear error', async t => {
  const image = await readFile(makeImage(t, '', '-J', 'size=4'));
  const places = await meaningfulPlaces(image);
  const change = fc.tuple(fc.nat(), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async changes => {
      const undo = changes.map(([where, value]) => {
        const at = places[where % places.length]!;
        const before = image[at]!;
        image[at] = value;
        return { at, before };
      });
      const faults: string[] = [];
      try {
        const volume = await openVolume(blocksOf(image), what => faults.push(what));
        for (const entry of (await readTree(volume)).entries) t.truthy(entry.type);
      } catch (error) {
        t.true(error instanceof ImageUnpackerError, String((error as Error).stack));
      }
      for (const { at, before } of undo.reverse()) image[at] = before;
    }),
    { numRuns: 300 },
  );
  const sound = await openVolume(blocksOf(image), refuseDamage);
  t.is([...(await readTree(sound)).entries].length, 310);
});

/** The bytes of an image that are neither zero nor content of files. */
async function meaningfulPlaces(image: Buffer): Promise<number[]> {
  const { uses } = await surveyVolume(await openVolume(blocksOf(image), refuseDamage));
  const places: number[] = [];
  for (const { start, count, kind } of uses) {
    if (kind === 'data' || kind === 'zero') continue;
    for (let at = start * BLOCK_SIZE; at < (start + count) * BLOCK_SIZE; at++)
      if (image[at] !== 0) places.push(at);
  }
  return places;
}

test('runs are read in order and in whole, neighbours together', async t => {
  const image = Buffer.alloc(2000 * BLOCK_SIZE);
  for (let block = 0; block < 2000; block++) image.writeUInt32LE(block, block * BLOCK_SIZE);
  const run = fc.record({ block: fc.nat(1400), count: fc.integer({ min: 1, max: 600 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(run, { maxLength: 20 }), async runs => {
      let reads = 0;
      const source = blocksOf(image);
      const reader: BlockReader = {
        blocks: source.blocks,
        read: (...parameters) => {
          reads++;
          return source.read(...parameters);
        },
      };
      const seen: number[] = [];
      for await (const pieces of readRuns(
        reader,
        runs.map(one => ({ ...one, of: undefined })),
      )) {
        for (const { run: of, from, count, data } of pieces) {
          t.is(data.length, count * BLOCK_SIZE);
          for (let at = 0; at < count; at++) {
            t.is(data.readUInt32LE(at * BLOCK_SIZE), of.block + from + at);
            seen.push(of.block + from + at);
          }
        }
      }
      t.deepEqual(
        seen,
        runs.flatMap(({ block, count }) => Array.from({ length: count }, (_, at) => block + at)),
      );
      t.true(reads <= runs.reduce((sum, { count }) => sum + Math.ceil(count / 256), 0));
    }),
    { numRuns: 50 },
  );
});
