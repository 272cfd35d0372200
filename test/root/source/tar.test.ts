import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Entry, InodeEntry } from '../../../src/image/entry.js';
import { comparePaths } from '../../../src/image/path.js';
import type { SourceEntry } from '../../../src/source/source.js';
import { tarSource } from '../../../src/source/tar/source.js';
import { makeNastyTree, makeVolume, mountUntilEnd, run, shell } from '../ext4-fixture.js';
import { kernelView } from '../kernel-view.js';

/*
 * A tree of everything that is hard to pack, packed by the real writers: what comes in is compared with the
 * tree that was packed, and with what GNU tar makes of the archive.
 */

const GNU_ALL = ['--xattrs', '--xattrs-include=*', '--acls', '--selinux', '--numeric-owner'];

/** What is hard for tar in particular. */
const HARD_FOR_TAR = `
# Tar knows no sockets, GNU tar no hard links of devices and pipes, nor holes that take up blocks.
rm socket fifo2 large2 unwritten partly beyond
setfattr -n 'user.a=b%25c%3Dd e' -v odd plain/file
setfattr -n "$(printf 'user.caf\\xe9')" -v latin plain/file
setfattr -n user.bytes -v 0x$(printf %02x $(seq 0 255)) plain/file
setfattr -n security.selinux -v 0x$(printf 'system_u:object_r:bin_t:s0\\0' | od -An -tx1 | tr -d ' \\n') plain/file
printf half > before; touch -d '1969-12-31 23:59:58.25 UTC' before
printf percent > '%41=b'; printf space > ' '
mkdir -p "$(printf 'd%.0s' $(seq 60))/$(printf 'e%.0s' $(seq 60))/$(printf 'f%.0s' $(seq 60))"
ln plain/file "$(printf 'd%.0s' $(seq 60))/$(printf 'g%.0s' $(seq 180))"
printf x > secret; chmod 0 secret; printf x > all; chmod 7777 all; chown 0:4294967294 all
touch -d '2009-02-13 23:31:30.987654321 UTC' .
`;

interface Packed {
  /** The tree that is to be packed. */
  tree: string;
  /** Packs it with a program and its options, from its own root; returns the archive. */
  pack: (program: string, ...options: string[]) => string;
  /** What GNU tar makes of an archive. */
  extract: (archive: string) => Entry[];
}

function nastyTree(t: ExecutionContext, extra = ''): Packed {
  const fixture = makeVolume(t);
  const root = mountUntilEnd(t, fixture);
  const [tree, out, archive] = [join(root, 'tree'), join(root, 'out'), join(fixture.directory, 'packed.tar')];
  mkdirSync(tree);
  makeNastyTree(tree);
  shell(tree, HARD_FOR_TAR + extra);
  return {
    tree,
    pack: (program, ...options) => {
      run(program, '-cf', archive, ...options, '-C', tree, '.');
      return archive;
    },
    extract: from => {
      rmSync(out, { recursive: true, force: true });
      mkdirSync(out);
      run('tar', '-xpf', from, ...GNU_ALL, '-C', out);
      return kernelView(out);
    },
  };
}

/** The entries of an archive in the form of an image. */
async function readArchive(archive: string): Promise<Entry[]> {
  const inodes = new Map<string, { entry: SourceEntry; digest: Buffer | null; paths: Buffer[] }>();
  for await (const entry of tarSource(() => createReadStream(archive), archive).entries()) {
    const target = entry.type === 'link' ? inodes.get(entry.target.toString('latin1')) : undefined;
    const inode = target ?? { entry, digest: await digestOf(entry), paths: [] };
    inode.paths.push(entry.path);
    inodes.set(entry.path.toString('latin1'), inode);
  }
  const entries = [...new Set(inodes.values())].flatMap(({ entry, digest, paths }): Entry[] => {
    const [path, ...names] = paths.sort(comparePaths);
    if (entry.type === 'link') throw new Error('a hard link to nowhere');
    if (entry.type === 'directory') return [entry];
    const { content, ...rest } = { content: undefined, ...entry };
    const whole = { ...rest, path, names, ...(content && { digest }) } as InodeEntry;
    return [whole, ...names.map((name): Entry => ({ type: 'link', path: name, target: path! }))];
  });
  return entries.sort((a, b) => comparePaths(a.path, b.path));
}

async function digestOf(entry: SourceEntry): Promise<Buffer | null> {
  if (entry.type !== 'file' || entry.content.kind === 'stored') return null;
  const hash = createHash('sha512');
  for await (const chunk of entry.content.chunks) hash.update(chunk);
  return hash.digest();
}

/** The entries that are in one of two trees only, as text: the whole trees would be too long to look at. */
function differences(came: readonly Entry[], wanted: readonly Entry[]): string[] {
  const [a, b] = [came, wanted].map(entries => new Set(entries.map(shown))) as [Set<string>, Set<string>];
  return [
    ...[...a].filter(entry => !b.has(entry)).map(entry => `came: ${entry}`),
    ...[...b].filter(entry => !a.has(entry)).map(entry => `wanted: ${entry}`),
  ];
}

function shown(entry: Entry): string {
  const plain = Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(plain, (_, value: unknown) => {
    if (typeof value === 'bigint') return `${String(value)}n`;
    return isBufferJson(value) ? Buffer.from(value.data).toString('latin1') : value;
  });
}

function isBufferJson(value: unknown): value is { data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
}

/** Entries without what a format does not hold. */
function reduced(entries: Entry[], change: (entry: InodeEntry) => Partial<InodeEntry>): Entry[] {
  return entries.map(entry => (entry.type === 'link' ? entry : ({ ...entry, ...change(entry) } as Entry)));
}

const withoutFlags = (entries: Entry[]): Entry[] => reduced(entries, () => ({ flags: 0 }));

function inSeconds({ mtime }: InodeEntry): bigint {
  const second = 1_000_000_000n;
  return mtime - (((mtime % second) + second) % second);
}

test('GNU tar with all attributes: everything comes in, in every version of sparse map', async t => {
  const { tree, pack, extract } = nastyTree(t);
  for (const version of ['0.0', '0.1', '1.0']) {
    const archive = pack('tar', '--format=pax', '--sparse', `--sparse-version=${version}`, ...GNU_ALL);
    const entries = await readArchive(archive);
    t.deepEqual(differences(entries, withoutFlags(kernelView(tree))), [], version);
    t.deepEqual(differences(entries, extract(archive)), [], version);
  }
});

/** The ACLs of the tree are of numbers that have names here; these have none. */
const ACLS_BY_NUMBER = `
setfacl -b plain/file a; setfacl -k a
setfacl -m u:1234567:rwx,g:7654321:r plain/file; setfacl -m u:1234567:x a; setfacl -d -m g:7654321:w a
`;

test('GNU tar with ACLs and labels as text', async t => {
  const { pack, extract } = nastyTree(t, ACLS_BY_NUMBER);
  const archive = pack('tar', '--format=pax', '--sparse', '--acls', '--selinux');
  const entries = await readArchive(archive);
  t.deepEqual(differences(entries, extract(archive)), []);
  const names = entries.flatMap(entry =>
    'xattrs' in entry ? entry.xattrs.map(({ name }) => name.toString()) : [],
  );
  t.deepEqual([...new Set(names)].sort(), [
    'security.selinux',
    'system.posix_acl_access',
    'system.posix_acl_default',
  ]);
});

test('GNU tar with an ACL that names somebody: refused as text, right as an xattr', async t => {
  const { tree, pack } = nastyTree(t, 'printf x > named; setfacl -m u:nobody:rw named');
  await t.throwsAsync(readArchive(pack('tar', '--format=pax', '--sparse', '--acls')), {
    code: 'SOURCE_UNSUPPORTED',
    message: /\/named .*nobody/,
  });
  const entries = await readArchive(pack('tar', '--format=pax', '--sparse', ...GNU_ALL));
  t.deepEqual(differences(entries, withoutFlags(kernelView(tree))), []);
});

test('GNU tar in its own formats: all that they hold comes in', async t => {
  const { tree, pack, extract } = nastyTree(t);
  const held = reduced(kernelView(tree), entry => ({ flags: 0, xattrs: [], mtime: inSeconds(entry) }));
  for (const format of ['gnu', 'oldgnu']) {
    const archive = pack('tar', `--format=${format}`, '--sparse');
    const entries = await readArchive(archive);
    t.deepEqual(differences(entries, held), [], format);
    t.deepEqual(differences(entries, extract(archive)), [], format);
  }
});

test('bsdtar: everything comes in, flags too', async t => {
  // libarchive writes ids above 2^31 in ACLs as 0, so they are not among these.
  const { tree, pack } = nastyTree(
    t,
    `${ACLS_BY_NUMBER} printf x > named; setfacl -m u:nobody:rw,g:daemon:x named`,
  );
  const entries = await readArchive(
    pack('bsdtar', '--format=pax', '--read-sparse', '--acls', '--xattrs', '--fflags'),
  );
  t.deepEqual(differences(entries, kernelView(tree)), []);
});
