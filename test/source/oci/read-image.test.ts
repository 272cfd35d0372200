import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import type { Entry } from '../../../src/image/entry.js';
import { TreeValidator } from '../../../src/image/validate.js';
import { readDirectory } from '../../../src/source/directory.js';
import type { Platform } from '../../../src/source/oci/platform.js';
import { parsePlatform } from '../../../src/source/oci/platform.js';
import { parseImageSource, readImage } from '../../../src/source/oci/read-image.js';
import type { Tree } from '../../../src/source/tree.js';
import { needs } from '../../needs.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { MemorySink, treeOptions } from '../memory-sink.js';
import type { Piece } from './layout.js';
import { json, layerOf, Layout, sha256, tarOf } from './layout.js';

const AMD64: Platform = { os: 'linux', architecture: 'amd64' };

async function read(text: string, platform = AMD64, sink = new MemorySink(), options = treeOptions()) {
  return readImage(parseImageSource(text)!, platform, sink, options);
}

function shape(tree: Tree, sink: MemorySink): string[] {
  const validator = new TreeValidator();
  return [...tree.entries()].map(entry => {
    validator.add(entry);
    return shown(entry, sink);
  });
}

function shown(entry: Entry, sink: MemorySink): string {
  const path = entry.path.toString('latin1');
  if (entry.type === 'link') return `${path} = ${entry.target.toString('latin1')}`;
  if (entry.type === 'directory') return `${path}/`;
  if (entry.type === 'symlink') return `${path} -> ${entry.target.toString('latin1')}`;
  if (entry.type !== 'file') return `${path} ${entry.type}`;
  return `${path}: ${entry.digest === null ? '' : sink.objects.get(entry.digest.toString('hex'))!.toString('latin1')}`;
}

/** What layers make, and what of them is stored. */
async function merge(directory: string, ...layers: readonly (readonly Piece[])[]) {
  const layout = new Layout();
  layout.image(layers.map(layerOf));
  const sink = new MemorySink();
  const tree = await read(`oci:${layout.write(directory)}`, AMD64, sink);
  return { shape: shape(tree, sink).slice(1), stored: [...sink.objects.values()].map(String).sort(), tree };
}

const LOWER: readonly Piece[] = [
  { path: 'a/', type: 'directory' },
  { path: 'a/one', data: '1' },
  { path: 'a/two', data: '2' },
  { path: 'a/b/', type: 'directory' },
  { path: 'a/b/three', data: '3' },
  { path: 'top', data: 't' },
];

const CASES: readonly { what: string; upper: readonly Piece[]; shape: string[]; stored: string[] }[] = [
  {
    what: 'a whiteout takes a file away, whose data is not stored',
    upper: [{ path: 'a/.wh.one' }],
    shape: ['a/', 'a/b/', 'a/b/three: 3', 'a/two: 2', 'top: t'],
    stored: ['2', '3', 't'],
  },
  {
    what: 'a whiteout takes a directory away',
    upper: [{ path: '.wh.a' }],
    shape: ['top: t'],
    stored: ['t'],
  },
  {
    what: 'a whiteout is about lower layers, be it before or after what the layer has',
    upper: [
      { path: 'a/one', data: 'new' },
      { path: 'a/.wh.one' },
      { path: '.wh.top' },
      { path: 'top', data: 'T' },
    ],
    shape: ['a/', 'a/b/', 'a/b/three: 3', 'a/one: new', 'a/two: 2', 'top: T'],
    stored: ['2', '3', 'T', 'new'],
  },
  {
    what: 'a directory that is hidden keeps what the layer puts into it',
    upper: [{ path: 'a/four', data: '4' }, { path: '.wh.a' }],
    shape: ['a/', 'a/four: 4', 'top: t'],
    stored: ['4', 't'],
  },
  {
    what: 'an opaque directory has nothing of lower layers',
    upper: [{ path: 'a/', type: 'directory' }, { path: 'a/five', data: '5' }, { path: 'a/.wh..wh..opq' }],
    shape: ['a/', 'a/five: 5', 'top: t'],
    stored: ['5', 't'],
  },
  {
    what: 'a file replaces a directory that is not empty',
    upper: [{ path: 'a', data: 'file' }],
    shape: ['a: file', 'top: t'],
    stored: ['file', 't'],
  },
  {
    what: 'a directory replaces a file, and a symlink too',
    upper: [
      { path: 'top/', type: 'directory' },
      { path: 'a', type: 'symlink', target: 'top' },
    ],
    shape: ['a -> top', 'top/'],
    stored: [],
  },
  {
    what: 'a hard link is to what a lower layer has',
    upper: [{ path: 'link', type: 'link', target: 'a/one' }, { path: 'a/.wh.one' }],
    shape: ['a/', 'a/b/', 'a/b/three: 3', 'a/two: 2', 'link: 1', 'top: t'],
    stored: ['1', '2', '3', 't'],
  },
];

for (const { what, upper, shape: expected, stored } of CASES) {
  test(what, async t => {
    const found = await merge(temporaryDirectory(t), LOWER, upper);
    t.deepEqual(found.shape, expected);
    t.deepEqual(found.stored, stored);
    t.is(found.tree.newObjects, stored.length);
  });
}

test('a directory of a later layer counts for what the directory is like', async t => {
  const { tree } = await merge(temporaryDirectory(t), LOWER, [
    { path: 'a/', type: 'directory', mode: '0000700\0', xattrs: { 'user.x': 'y' } },
  ]);
  const entry = [...tree.entries()].find(({ path }) => String(path) === 'a');
  t.like(entry, { mode: 0o700 });
  t.is(entry?.type === 'directory' ? String(entry.xattrs[0]?.value) : '', 'y');
});

for (const [what, upper, message] of [
  ['lower file as a directory', [{ path: 'top/x', data: 'x' }], /top\/x.*not a directory/],
  ['hidden below a file', [{ path: 'top/.wh.x' }], /not a directory/],
  ['opaque file', [{ path: 'top/.wh..wh..opq' }], /opaque/],
  ['names of AUFS', [{ path: '.wh..wh.plnk' }], /AUFS/],
  ['whiteout of nothing', [{ path: 'a/.wh.' }], /hides nothing/],
  ['whiteout of ..', [{ path: 'a/.wh...' }], /hides nothing/],
  ['below a whiteout', [{ path: '.wh.a/x' }], /\.wh\./],
  ['path that escapes', [{ path: '../x' }], /\.\./],
  ['absolute path', [{ path: '/x' }], /absolute/],
  [
    'link to what is hidden',
    [{ path: 'a/.wh.one' }, { path: 'l', type: 'link', target: 'a/one' }],
    /not there/,
  ],
] as const) {
  test(`refused by name: ${what}`, async t => {
    await t.throwsAsync(merge(temporaryDirectory(t), LOWER, upper), { code: 'SOURCE_UNSUPPORTED', message });
  });
}

test('layers are compressed with gzip, zstd or not at all, and may be empty', async t => {
  const layout = new Layout();
  const layers = [
    layerOf(LOWER),
    layerOf([{ path: 'top', data: 'T' }]),
    layerOf([]),
    layerOf([{ path: '.wh.a' }]),
  ];
  layout.image(layers, { compressions: ['gzip', 'zstd', 'gzip', 'none'] });
  const sink = new MemorySink();
  const tree = await read(`oci:${layout.write(temporaryDirectory(t))}`, AMD64, sink);
  t.deepEqual(shape(tree, sink), ['/', 'top: T']);
});

test('a wrong byte anywhere is refused, and its digest named', async t => {
  const directory = temporaryDirectory(t);
  const layout = new Layout();
  layout.image([layerOf(LOWER), layerOf([{ path: 'x', data: 'y'.repeat(2000) }])], {
    compressions: ['none', 'gzip'],
  });
  layout.write(directory);
  for (const [path, bytes] of layout.files) {
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 23)) {
      const wrong = Buffer.from(bytes);
      wrong[at]! ^= 4;
      writeFileSync(join(directory, path), wrong);
      const hex = path.slice('blobs/sha256/'.length);
      const error = await t.throwsAsync(
        read(`oci:${directory}`),
        { code: 'SOURCE_DAMAGED' },
        `${path} ${String(at)}`,
      );
      t.true(error.message.includes(hex) || error.message.includes('diff_id'), error.message);
    }
    writeFileSync(join(directory, path), bytes.subarray(1));
    await t.throwsAsync(read(`oci:${directory}`), { code: 'SOURCE_DAMAGED', message: /bytes, and/ });
    writeFileSync(join(directory, path), bytes);
  }
  await t.notThrowsAsync(read(`oci:${directory}`));
});

test('a diff_id that is another is refused', async t => {
  const layout = new Layout();
  const layer = layerOf(LOWER);
  layout.image([layer]);
  const text = JSON.stringify([...layout.files].map(([path, bytes]) => [path, bytes.toString('latin1')]));
  t.true(text.includes(sha256(layer)));
  const other = new Layout();
  const config = json({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] },
  });
  const manifest = {
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...other.blob(config) },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...other.blob(layer) }],
  };
  other.manifests.push({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    ...other.blob(json(manifest)),
  });
  const source = `oci:${other.write(temporaryDirectory(t))}`;
  await t.throwsAsync(read(source), { code: 'SOURCE_DAMAGED', message: /diff_id sha256:0{64}/ });
});

test('the image is chosen by platform and tag, in nested indexes too', async t => {
  const layout = new Layout();
  for (const [architecture, variant] of [['amd64'], ['arm64', 'v8'], ['arm', 'v6'], ['arm', 'v7']] as const) {
    const platform = { os: 'linux', architecture, ...(variant !== undefined && { variant }) };
    layout.image([layerOf([{ path: `${architecture}${variant ?? ''}`, data: 'x' }])], {
      platform,
      isTold: architecture !== 'arm64',
    });
  }
  layout.nest('all:1');
  layout.image([layerOf([{ path: 'other', data: 'x' }])], { tag: 'other' });
  const source = `oci:${layout.write(temporaryDirectory(t))}`;
  const names = async (text: string, platform: string): Promise<string> =>
    [...(await read(text, parsePlatform(platform))).entries()].map(({ path }) => String(path)).join('');
  t.is(await names(`${source}:all:1`, 'linux/amd64'), 'amd64');
  t.is(await names(source, 'linux/arm64'), 'arm64v8');
  t.is(await names(source, 'linux/arm/v7'), 'armv7');
  t.is(await names(`${source}:other`, 'linux/amd64'), 'other');
  const missing = { code: 'SOURCE_MISSING' };
  await t.throwsAsync(names(source, 'linux/amd64'), { ...missing, message: /2 images.*other/ });
  await t.throwsAsync(names(source, 'linux/arm'), { ...missing, message: /2 images.*linux\/arm\/v6/ });
  await t.throwsAsync(names(source, 'linux/s390x'), {
    ...missing,
    message: /no image for linux\/s390x.*amd64/,
  });
  await t.throwsAsync(names(`${source}:none`, 'linux/amd64'), { ...missing, message: /called none.*all:1/ });
});

/** What Docker up to version 24 writes. */
function oldArchive(layers: readonly Buffer[], tags = ['debian:12']): [string, Buffer | { link: string }][] {
  const diffIds = layers.map(layer => `sha256:${sha256(layer)}`);
  const config = json({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: diffIds } });
  const members: [string, Buffer | { link: string }][] = [];
  const first = new Map<string, string>();
  const paths = layers.map((layer, at) => {
    const id = sha256(Buffer.from(`id ${String(at)} ${tags.join()}`));
    const known = first.get(sha256(layer));
    members.push([`${id}/VERSION`, Buffer.from('1.0')], [`${id}/json`, json({ id })]);
    members.push([`${id}/layer.tar`, known === undefined ? layer : { link: `../${known}/layer.tar` }]);
    first.set(sha256(layer), id);
    return `${id}/layer.tar`;
  });
  const manifest = [{ Config: `${sha256(config)}.json`, RepoTags: tags, Layers: paths }];
  members.push([`${sha256(config)}.json`, config], ['manifest.json', json(manifest)]);
  members.push(['repositories', json({ debian: { 12: 'x' } })]);
  return members;
}

const ARCHIVED = [
  layerOf(LOWER),
  layerOf([{ path: 'a/.wh.one' }]),
  layerOf([{ path: 'b', data: 'b' }]),
  layerOf(LOWER),
];

test('archives of docker save, old and new, plain and compressed', async t => {
  const directory = temporaryDirectory(t);
  const layout = new Layout();
  layout.image(ARCHIVED, { tag: 'latest', compressions: ['none', 'gzip', 'none'] });
  const expected = await merge(
    join(directory, 'layout'),
    LOWER,
    [{ path: 'a/.wh.one' }],
    [{ path: 'b', data: 'b' }],
    LOWER,
  );
  for (const [name, archive] of [
    ['old', tarOf(oldArchive(ARCHIVED))],
    ['new', tarOf(layout.all())],
  ] as const) {
    for (const [suffix, bytes] of [
      ['tar', archive],
      ['tar.gz', gzipSync(archive)],
    ] as const) {
      const file = join(directory, `${name}.${suffix}`);
      writeFileSync(file, bytes);
      const sink = new MemorySink();
      t.deepEqual(
        shape(await read(`docker-archive:${file}`, AMD64, sink), sink).slice(1),
        expected.shape,
        file,
      );
    }
  }
  t.deepEqual((await read(`docker-archive:${join(directory, 'old.tar')}:debian:12`)).newObjects, 5);
  await t.throwsAsync(read(`docker-archive:${join(directory, 'old.tar')}:debian:13`), {
    message: /debian:12/,
  });
  await t.throwsAsync(read('docker-archive:-'), { message: /standard input/ });
});

test('a Docker archive that is damaged or leads astray is refused', async t => {
  const file = join(temporaryDirectory(t), 'x.tar');
  const tries = async (
    members: readonly (readonly [string, Buffer | { link: string }])[],
    expected: object,
  ) => {
    writeFileSync(file, tarOf(members));
    await t.throwsAsync(read(`docker-archive:${file}`), expected);
  };
  const good = oldArchive(ARCHIVED);
  const replaced = (suffix: string, by: Buffer | { link: string }): typeof good =>
    good.map(([path, what]) => (path.endsWith(suffix) ? [path, by] : [path, what]));
  await tries(replaced('/layer.tar', layerOf([{ path: 'x', data: 'x' }])), { message: /diff_id/ });
  await tries(replaced('/layer.tar', { link: '../../../etc/passwd' }), {
    code: 'SOURCE_DAMAGED',
    message: /not in it/,
  });
  await tries(replaced('/layer.tar', { link: 'layer.tar' }), { message: /leads nowhere/ });
  await tries(
    good.filter(([path]) => path !== 'manifest.json'),
    { message: /before 1\.10/ },
  );
  await tries([...good, ...good.slice(0, 1)], { message: /twice/ });
  await tries(replaced('.json', Buffer.from('[]')), { code: 'SOURCE_MISSING', message: /none at all/ });
});

const withUmoci = needs('images as umoci and skopeo read them', {
  programs: ['umoci', 'skopeo'],
  fault: process.getuid?.() === 0 ? undefined : 'only root can unpack them as they are',
});

function run(program: string, ...options: string[]): void {
  const { status, stderr } = spawnSync(program, options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
}

function comparable(tree: Tree): string[] {
  return [...tree.entries()].map(entry =>
    JSON.stringify(entry, (_, value: unknown) => {
      if (typeof value === 'bigint') return String(value);
      const isBuffer =
        typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer';
      return isBuffer ? Buffer.from((value as { data: number[] }).data).toString('latin1') : value;
    }),
  );
}

const REAL: readonly (readonly Piece[])[] = [
  [
    { path: './', type: 'directory', mode: '0000751\0', mtime: '00000000777\0' },
    ...LOWER,
    { path: 'hard', type: 'link', target: 'a/one' },
    { path: 'soft', type: 'symlink', target: 'a/one' },
    { path: 'suid', data: 'x', mode: '0004755\0', xattrs: { 'user.one': 'a=b', 'user.two': '\0\xff' } },
    { path: 'gone/', type: 'directory' },
    { path: 'gone/deep/', type: 'directory' },
    { path: 'gone/deep/file', data: 'deep' },
    { path: 'big', data: 'big'.repeat(100_000) },
  ],
  [
    { path: 'a/', type: 'directory', mode: '0000700\0', mtime: '00000004321\0', xattrs: { 'user.dir': 'd' } },
    { path: 'a/.wh.two' },
    { path: 'a/new', data: 'new', mtime: '00000012345\0' },
    { path: 'gone/', type: 'directory' },
    { path: 'gone/.wh..wh..opq' },
    { path: 'gone/fresh', data: 'fresh' },
    { path: 'again', type: 'link', target: 'hard' },
    { path: 'soft', data: 'no longer a symlink' },
  ],
  [
    { path: '.wh.top' },
    { path: 'big/', type: 'directory' },
    { path: 'big/inside', data: 'i' },
    { path: 'a/b', data: 'no longer a directory' },
    { path: 'suid', data: 'x2', mode: '0000600\0' },
  ],
];

withUmoci('an image is what umoci makes of it, file by file, with xattrs', async t => {
  const directory = temporaryDirectory(t);
  const layers = REAL.map(layerOf);
  const layout = new Layout();
  layout.image(layers, { tag: 'latest', compressions: ['gzip', 'gzip', 'none'] });
  layout.write(join(directory, 'layout'));
  // Not every umoci knows zstd.
  const zstd = new Layout();
  zstd.image(layers, { compressions: ['zstd', 'zstd', 'zstd'] });
  zstd.write(join(directory, 'zstd'));
  run('umoci', 'unpack', '--image', `${join(directory, 'layout')}:latest`, join(directory, 'bundle'));
  const unpacked = await readDirectory(join(directory, 'bundle/rootfs'), new MemorySink(), treeOptions());
  t.deepEqual(comparable(await read(`oci:${join(directory, 'layout')}`)), comparable(unpacked));
  t.deepEqual(comparable(await read(`oci:${join(directory, 'zstd')}`)), comparable(unpacked));
});

withUmoci('a Docker archive is what skopeo and umoci make of it', async t => {
  const directory = temporaryDirectory(t);
  const archive = join(directory, 'saved.tar');
  writeFileSync(archive, tarOf(oldArchive(REAL.map(layerOf))));
  mkdirSync(join(directory, 'copy'));
  const target = `${join(directory, 'copy')}:latest`;
  run('skopeo', '--insecure-policy', 'copy', `docker-archive:${archive}`, `oci:${target}`);
  run('umoci', 'unpack', '--image', target, join(directory, 'bundle'));
  const unpacked = await readDirectory(join(directory, 'bundle/rootfs'), new MemorySink(), treeOptions());
  t.deepEqual(comparable(await read(`docker-archive:${archive}`)), comparable(unpacked));
  t.deepEqual(comparable(await read(`oci:${target}`)), comparable(unpacked));
});

test('what is there and is no image of its kind is said to be what it is', async t => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'file');
  writeFileSync(file, '');
  for (const [source, message] of [
    [`docker-archive:${directory}`, /directory; give/],
    [`oci:${file}:tag`, /is a file; give/],
    ['docker-archive:/dev/null', /is a special file; give/],
    [`oci:${directory}/none`, /there is nothing; give/],
  ] as const)
    await t.throwsAsync(read(source), { code: 'SOURCE_MISSING', message }, source);
});

test('indexes that name each other again and again are refused, not read for hours', async t => {
  const layout = new Layout();
  for (let depth = 0; depth < 3; depth++) {
    layout.nest();
    const [index] = layout.manifests.splice(0);
    for (let count = 0; count < 300; count++) layout.manifests.push(index!);
  }
  const source = `oci:${layout.write(join(temporaryDirectory(t), 'layout'))}`;
  await t.throwsAsync(read(source), { code: 'SOURCE_UNSUPPORTED', message: /more than 1024 indexes/ });
});
