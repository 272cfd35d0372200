import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import { pack } from 'tar-stream';
import { tarSource } from '../../../src/source/tar/source.js';
import { needs } from '../../needs.js';
import { END, base256, header, readAll, type ReadBack } from './archive.js';

/*
 * A plain tree as each writer packs it, in each of its formats. What only root can make, and what only some
 * formats hold, is in the tests that need root.
 */

const PYTHON = `
import sys, tarfile
with tarfile.open(sys.argv[1], 'w', format=getattr(tarfile, sys.argv[2])) as archive:
    archive.add(sys.argv[3], '.')
`;

const WRITERS: [string, (archive: string, tree: string) => [string, ...string[]]][] = [
  ...['v7', 'oldgnu', 'gnu', 'ustar', 'pax'].map((format): (typeof WRITERS)[number] => [
    `GNU tar ${format}`,
    (archive, tree) => ['tar', `--format=${format}`, '-cf', archive, '-C', tree, '.'],
  ]),
  ...['v7', 'gnutar', 'ustar', 'pax', 'paxr'].map((format): (typeof WRITERS)[number] => [
    `bsdtar ${format}`,
    (archive, tree) => ['bsdtar', `--format=${format}`, '-cf', archive, '-C', tree, '.'],
  ]),
  ...['USTAR_FORMAT', 'GNU_FORMAT', 'PAX_FORMAT'].map((format): (typeof WRITERS)[number] => [
    `Python ${format}`,
    (archive, tree) => ['python3', '-c', PYTHON, archive, format, tree],
  ]),
  ['busybox', (archive, tree) => ['busybox', 'tar', '-cf', archive, '-C', tree, '.']],
];

async function plainTree(t: ExecutionContext): Promise<{ tree: string; archive: string }> {
  const base = await mkdtemp(join(tmpdir(), 'tar-writers-'));
  t.teardown(() => rm(base, { recursive: true }));
  const tree = join(base, 'tree');
  await mkdir(join(tree, 'directory', 'below'), { recursive: true });
  await writeFile(join(tree, 'empty'), '');
  await writeFile(join(tree, 'directory', 'data'), 'x'.repeat(100_000));
  await writeFile(join(tree, 'directory', 'block'), 'y'.repeat(512), { mode: 0o600 });
  await writeFile(join(tree, 'n'.repeat(90)), 'long');
  await link(join(tree, 'directory', 'data'), join(tree, 'second'));
  await symlink('../\u00e4/./target', join(tree, 'directory', 'below', 'soft'));
  await chmod(join(tree, 'directory', 'below'), 0o1751);
  for (const path of ['empty', 'directory/data', 'directory/below', 'directory'])
    await utimes(join(tree, path), 0, 1_000_000_007);
  return { tree, archive: join(base, 'packed.tar') };
}

interface Shown {
  type: string;
  mode: number;
  owner: string;
  seconds: bigint;
  data: string;
}

async function shownTree(tree: string): Promise<Record<string, Shown>> {
  const shown: Record<string, Shown> = {};
  for (const path of ['', ...(await readdir(tree, { recursive: true }))]) {
    const full = join(tree, path);
    const status = await lstat(full, { bigint: true });
    const type = status.isDirectory() ? 'directory' : status.isSymbolicLink() ? 'symlink' : 'file';
    const data =
      type === 'directory'
        ? ''
        : await (type === 'file' ? readFile(full, 'latin1') : readlink(full, 'latin1'));
    const owner = `${String(status.uid)}:${String(status.gid)}`;
    shown[path] = {
      type,
      mode: Number(status.mode) & 0o7777,
      owner,
      seconds: status.mtimeMs / 1000n,
      data,
    };
  }
  return shown;
}

function shownEntries(entries: readonly ReadBack[]): Record<string, Shown> {
  const shown: Record<string, Shown> = {};
  for (const entry of entries) {
    const path = entry.path.toString();
    if (entry.type === 'link') {
      shown[path] = shown[entry.target.toString()]!;
      continue;
    }
    const data = entry.type === 'symlink' ? entry.target : (entry.data ?? Buffer.alloc(0));
    const owner = `${String(entry.uid)}:${String(entry.gid)}`;
    const seconds = entry.mtime / 1_000_000_000n;
    shown[path] = { type: entry.type, mode: entry.mode, owner, seconds, data: data.toString('latin1') };
  }
  return shown;
}

const readFileOf = (archive: string) =>
  readAll(tarSource(() => createReadStream(archive), archive).entries());

for (const [name, command] of WRITERS) {
  const [program] = command('', '');
  needs(name, { programs: [program] })(`${name}: a plain tree comes in as it is`, async t => {
    const { tree, archive } = await plainTree(t);
    const [file, ...options] = command(archive, tree);
    execFileSync(file, options, { stdio: 'pipe' });
    t.deepEqual(shownEntries(await readFileOf(archive)), await shownTree(tree));
  });
}

test('GNU tar: a label and an archive that was appended to are read to their end', async t => {
  const { tree, archive } = await plainTree(t);
  execFileSync('tar', ['-cf', archive, '--label=A label', '-C', tree, 'empty']);
  execFileSync('tar', ['-rf', archive, '-C', tree, 'directory/block']);
  t.deepEqual(
    (await readFileOf(archive)).map(entry => entry.path.toString()),
    ['empty', 'directory/block'],
  );
});

test('GNU tar: incremental backups and parts of volumes are refused', async t => {
  const { tree, archive } = await plainTree(t);
  for (const format of ['gnu', 'pax']) {
    execFileSync('tar', [
      `--format=${format}`,
      '-cf',
      archive,
      '-g',
      `${archive}.${format}.list`,
      '-C',
      tree,
      '.',
    ]);
    await t.throwsAsync(
      readFileOf(archive),
      { code: 'SOURCE_UNSUPPORTED', message: /incremental|GNU\.dumpdir/ },
      format,
    );
  }
});

test('tar-stream: what it packs comes in', async t => {
  const writer = pack();
  writer.entry({ name: 'directory/', type: 'directory', mode: 0o700 });
  writer.entry({ name: `directory/${'long/'.repeat(30)}name`, mtime: new Date(5000) }, 'data');
  writer.entry({ name: 'soft', type: 'symlink', linkname: 't'.repeat(150) });
  writer.finalize();
  const entries = await readAll(tarSource(() => writer as AsyncIterable<Buffer>, 'stream.tar').entries());
  t.deepEqual(
    entries.map(entry => entry.path.toString()),
    ['directory', `directory/${'long/'.repeat(30)}name`, 'soft'],
  );
  t.like(entries[1], { mode: 0o644, mtime: 5_000_000_000n, data: Buffer.from('data') });
  t.like(entries[2], { target: Buffer.from('t'.repeat(150)) });
});

test('an entry of 9 GiB streams', async t => {
  const size = 9n * 2n ** 30n;
  const chunk = Buffer.alloc(2 ** 20, 'x');
  const archive = function* () {
    yield header({ name: 'big', size: base256(size, 12) });
    for (let at = 0n; at < size; at += BigInt(chunk.length)) yield chunk;
    yield header({ name: 'next' });
    yield END;
  };
  let received = 0n;
  let count = 0;
  for await (const entry of tarSource(() => Readable.from(archive()), 'big.tar').entries()) {
    count++;
    if (entry.type !== 'file' || entry.content.kind !== 'stream') continue;
    t.is(entry.size, size);
    for await (const part of entry.content.chunks) received += BigInt(part.length);
  }
  t.deepEqual([received, count], [size, 2]);
});
