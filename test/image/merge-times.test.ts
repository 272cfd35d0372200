import test from 'ava';
import fc from 'fast-check';
import { sha512 } from '../../src/image/digest.js';
import type {
  DirectoryEntry,
  Entry,
  FileEntry,
  InodeEntry,
  LinkEntry,
  SymlinkEntry,
} from '../../src/image/entry.js';
import { mergeTimes } from '../../src/image/merge-times.js';
import { comparePaths, parentPath } from '../../src/image/path.js';
import { gather } from '../gather.js';
import { entriesOf, treePlan } from '../model/tree.js';

const common = { mode: 0o644, uid: 0, gid: 0, flags: 0, xattrs: [] };
const path = (text: string): Buffer => Buffer.from(text);

function directory(at: string, mtime: bigint): DirectoryEntry {
  return { ...common, type: 'directory', path: path(at), mtime };
}
function file(at: string, mtime: bigint, content: string, ...names: string[]): FileEntry {
  const data = {
    size: BigInt(content.length),
    holes: [],
    digest: content === '' ? null : sha512(path(content)),
  };
  return { ...common, type: 'file', path: path(at), mtime, names: names.map(path), ...data };
}
function symlink(at: string, mtime: bigint, target: string): SymlinkEntry {
  return { ...common, type: 'symlink', path: path(at), mtime, names: [], target: path(target) };
}
function link(at: string, target: string): LinkEntry {
  return { type: 'link', path: path(at), target: path(target) };
}

async function merge(have: readonly Entry[], want: readonly Entry[]): Promise<Entry[]> {
  return gather(
    mergeTimes(
      () => have,
      () => want,
    ),
  );
}

/** The time of each entry after merging trees, in which all times of `want` are 9. */
async function times(have: readonly Entry[], want: readonly Entry[]): Promise<Record<string, bigint>> {
  const merged = await merge(have, want);
  return Object.fromEntries(
    merged.flatMap(entry => (entry.type === 'link' ? [] : [[String(entry.path), entry.mtime]])),
  );
}

test('unchanged files, symbolic links and directories keep their times', async t => {
  const have = [directory('', 1n), directory('d', 2n), file('d/f', 3n, 'x'), symlink('l', 4n, 't')];
  const want = [directory('', 9n), directory('d', 9n), file('d/f', 9n, 'x'), symlink('l', 9n, 't')];
  t.deepEqual(await merge(have, want), have);
});

test('changed ones do not', async t => {
  const have = [directory('', 1n), file('f', 3n, 'x'), symlink('l', 4n, 't')];
  const want = [directory('', 9n), file('f', 9n, 'y'), symlink('l', 9n, 'u')];
  t.deepEqual(await times(have, want), { '': 1n, f: 9n, l: 9n });
});

test('a directory with other names has its new time, what is below it may not', async t => {
  const have = [directory('', 1n), directory('d', 2n), directory('d/e', 3n), file('d/x', 4n, 'x')];
  const want = [directory('', 9n), directory('d', 9n), directory('d/e', 9n), file('d/y', 9n, 'x')];
  t.deepEqual(await times(have, want), { '': 1n, d: 9n, 'd/e': 3n, 'd/y': 9n });
});

test('metadata is no content', async t => {
  const have = [directory('', 1n), file('f', 3n, 'x')];
  const want = [directory('', 9n), { ...file('f', 9n, 'x'), mode: 0o600 }];
  t.deepEqual(await merge(have, want), [directory('', 1n), { ...want[1], mtime: 3n } as Entry]);
});

test('a written block that was a hole is other content', async t => {
  const sparse = { ...file('f', 3n, ''), size: 4096n, holes: [{ start: 0n, count: 1n }] };
  const want = { ...sparse, mtime: 9n, holes: [], digest: sha512(Buffer.alloc(4096)) };
  t.deepEqual(await times([directory('', 1n), sparse], [directory('', 9n), want]), { '': 1n, f: 9n });
});

test('another type is other content', async t => {
  t.deepEqual(await times([directory('', 1n), file('f', 3n, '')], [directory('', 9n), directory('f', 9n)]), {
    '': 1n,
    f: 9n,
  });
});

test('hard links go with their inode, whatever its first name was', async t => {
  const have = [directory('', 1n), file('a', 3n, 'x', 'b', 'c'), link('b', 'a'), link('c', 'a')];
  const wantSplit = [directory('', 9n), file('a', 9n, 'y'), file('b', 9n, 'x', 'c'), link('c', 'b')];
  t.deepEqual(await times(have, wantSplit), { '': 1n, a: 9n, b: 3n });
  const haveLater = [directory('', 1n), file('b', 3n, 'x', 'c'), link('c', 'b')];
  const wantSooner = [directory('', 9n), file('a', 9n, 'x', 'c'), link('c', 'a')];
  t.deepEqual(await times(haveLater, wantSooner), { '': 9n, a: 3n });
});

/** The rule as it reads, entry by entry, with everything in memory. */
function expectedTime(have: readonly Entry[], want: readonly Entry[], entry: InodeEntry): bigint {
  const at = (tree: readonly Entry[], wanted: Buffer): InodeEntry | undefined => {
    const found = tree.find(each => each.path.equals(wanted));
    return found?.type === 'link' ? at(tree, found.target) : found;
  };
  const namesIn = (tree: readonly Entry[]): string =>
    tree
      .filter(each => each.path.length > 0 && parentPath(each.path).equals(entry.path))
      .map(each => each.path.toString('latin1'))
      .join('\n');
  const paths = [entry.path, ...(entry.type === 'directory' ? [] : entry.names)].sort(comparePaths);
  for (const candidate of paths.map(each => at(have, each))) {
    if (candidate?.type !== entry.type) continue;
    const isSame =
      (candidate.type === 'directory' && namesIn(have) === namesIn(want)) ||
      (candidate.type === 'symlink' && entry.type === 'symlink' && candidate.target.equals(entry.target)) ||
      (candidate.type === 'file' &&
        entry.type === 'file' &&
        candidate.size === entry.size &&
        String(candidate.digest) === String(entry.digest) &&
        candidate.holes.length === entry.holes.length);
    if (isSame) return candidate.mtime;
  }
  return entry.mtime;
}

test('random trees are merged by the rule, and only their times change', async t => {
  await fc.assert(
    fc.asyncProperty(treePlan, treePlan, async (a, b) => {
      const [have, want] = [entriesOf(a), entriesOf(b)];
      const expected = want.map(entry =>
        entry.type === 'link' ? entry : { ...entry, mtime: expectedTime(have, want, entry) },
      );
      t.deepEqual(await merge(have, want), expected);
    }),
    { numRuns: 200 },
  );
});
