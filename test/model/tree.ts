import fc from 'fast-check';
import type { DirectoryEntry, Entry, InodeEntry, LinkableEntry, Xattr } from '../../src/image/entry.js';
import { INODE_FLAGS } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import { comparePaths, joinPath } from '../../src/image/path.js';
import type { Difference } from '../../src/image/plan.js';
import { directoriesOf } from '../../src/image/plan.js';

/*
 * Trees for property tests: small, with few names, so that two of them collide in every way that
 * real ones do: types that change, link groups that split and join, files that move and swap.
 */

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
/** An inode without its place in the tree. */
export type Inode = DistributiveOmit<InodeEntry, 'path' | 'names'>;

/** A tree as a generator sees it: names of a directory, each an inode, a directory, or a further name of an inode. */
export interface TreePlan {
  inodes: Inode[];
  root: Inode;
  directory: DirectoryPlan;
}

interface DirectoryPlan {
  children: [string, number | { inode: Inode; directory: DirectoryPlan }][];
}

/** Two values that the kernel takes for file capabilities (VFS_CAP_REVISION_2 of linux/capability.h). */
const CAPABILITIES = ['0100000200040000000000000000000000000000', '0000000200200000000000000000000000000000'];

/** A default ACL: `u::rwx,u:1000:rw,g::rx,m::rwx,o::rx` (linux/posix_acl_xattr.h). */
const DEFAULT_ACL: Xattr = {
  name: Buffer.from('system.posix_acl_default'),
  value: Buffer.from(
    '0200000001000700ffffffff02000600e803000004000500ffffffff10000700ffffffff20000500ffffffff',
    'hex',
  ),
};

const xattr: fc.Arbitrary<Xattr> = fc
  .record({
    name: fc.constantFrom('user.a', 'user.b', 'security.capability', 'trusted.t'),
    value: fc.nat({ max: 1 }),
  })
  .map(({ name, value }) => ({
    name: Buffer.from(name),
    value:
      name === 'security.capability'
        ? Buffer.from(CAPABILITIES[value]!, 'hex')
        : Buffer.alloc(value * 3, 'x'),
  }));

const xattrs: fc.Arbitrary<Xattr[]> = fc
  .uniqueArray(xattr, { maxLength: 2, selector: ({ name }) => name.toString() })
  .map(list => list.sort((a, b) => Buffer.compare(a.name, b.name)));

const metadata = fc.record({
  mode: fc.constantFrom(0o644, 0o755, 0o4755, 0o2755, 0o1777),
  uid: fc.constantFrom(0, 1000, 3_000_000_000),
  gid: fc.constantFrom(0, 50),
  mtime: fc.constantFrom(0n, -1n, 1_700_000_000_123_456_789n, 4_000_000_000_000_000_001n),
  xattrs,
});

const fileFlags = fc.constantFrom(0, 0, 0, INODE_FLAGS.immutable, INODE_FLAGS.append, INODE_FLAGS.nodump);

const file: fc.Arbitrary<Inode> = fc
  .record({
    metadata,
    flags: fileFlags,
    text: fc.constantFrom('', 'one', 'two', 'three'),
    hole: fc.boolean(),
  })
  .map(({ metadata: common, flags, text, hole }) => {
    const size = BigInt(text.length) + (hole ? 4096n : 0n);
    const holes = hole ? [{ start: 0n, count: 1n }] : [];
    const digest = text === '' ? null : sha512(Buffer.from(text));
    return { type: 'file', ...common, flags, size, holes, digest };
  });

const other: fc.Arbitrary<Inode> = metadata.chain(all => {
  const common = {
    ...all,
    flags: 0,
    xattrs: all.xattrs.filter(({ name }) => !name.toString().startsWith('user.')),
  };
  return fc.oneof(
    fc.constantFrom('a', 'b').map(text => ({
      type: 'symlink' as const,
      ...common,
      mode: 0o777,
      target: Buffer.from(text),
    })),
    fc.constantFrom(1, 2).map(minor => ({ type: 'character' as const, ...common, major: 1, minor })),
    fc.constantFrom(1, 2).map(minor => ({ type: 'block' as const, ...common, major: 7, minor })),
    fc.constantFrom('fifo' as const, 'socket' as const).map(type => ({ type, ...common })),
  );
});

const directoryInode: fc.Arbitrary<Inode> = fc
  .record({
    metadata,
    flags: fc.constantFrom(0, 0, 0, INODE_FLAGS.immutable, INODE_FLAGS.nodump),
    acl: fc.constantFrom([], [], [DEFAULT_ACL]),
  })
  .map(({ metadata: common, flags, acl }) => ({
    type: 'directory',
    ...common,
    flags,
    xattrs: [...acl, ...common.xattrs.filter(({ name }) => name.toString() !== 'security.capability')],
  }));

const names = fc.constantFrom('a', 'b', 'c', 'd', 'a.x', 'a\xff');

function directory(depth: number): fc.Arbitrary<DirectoryPlan> {
  const leaf = fc.nat({ max: 7 });
  const child =
    depth === 0
      ? leaf
      : fc.oneof(
          { weight: 3, arbitrary: leaf },
          { weight: 2, arbitrary: fc.record({ inode: directoryInode, directory: directory(depth - 1) }) },
        );
  return fc
    .uniqueArray(fc.tuple(names, child), { maxLength: 5, selector: ([name]) => name })
    .map(children => ({ children }));
}

/** Random trees. */
export const treePlan: fc.Arbitrary<TreePlan> = fc.record({
  inodes: fc.array(fc.oneof({ weight: 3, arbitrary: file }, { weight: 1, arbitrary: other }), {
    minLength: 8,
    maxLength: 8,
  }),
  root: directoryInode,
  directory: directory(3),
});

/** The entries of a tree in order, as a manifest has them. */
export function entriesOf(plan: TreePlan): Entry[] {
  const directories: Entry[] = [];
  const paths = new Map<number, Buffer[]>();
  const visit = (path: Buffer, inode: Inode, { children }: DirectoryPlan): void => {
    directories.push({ ...inode, path } as Entry);
    for (const [name, child] of children) {
      const at = joinPath(path, Buffer.from(name, 'latin1'));
      if (typeof child === 'number') paths.set(child, [...(paths.get(child) ?? []), at]);
      else visit(at, child.inode, child.directory);
    }
  };
  visit(Buffer.alloc(0), plan.root, plan.directory);
  const entries = [...directories];
  for (const [number, places] of paths) {
    const [path, ...further] = places.sort(comparePaths);
    entries.push({ ...plan.inodes[number]!, path: path!, names: further } as LinkableEntry);
    entries.push(...further.map(at => ({ type: 'link' as const, path: at, target: path! })));
  }
  return entries.sort((a, b) => comparePaths(a.path, b.path));
}

/** The changes between two sorted lists of entries, found in the plainest way. */
export function changesBetween(
  have: readonly Entry[],
  want: readonly Entry[],
): { path: Buffer; have?: Entry; want?: Entry }[] {
  const text = (entry: Entry): string =>
    JSON.stringify(entry, (_, value: unknown) => (typeof value === 'bigint' ? `${String(value)}n` : value));
  const before = new Map(have.map(entry => [entry.path.toString('latin1'), entry]));
  const after = new Map(want.map(entry => [entry.path.toString('latin1'), entry]));
  return [...new Set([...before.keys(), ...after.keys()])]
    .map(key => {
      const a = before.get(key);
      const b = after.get(key);
      return { path: Buffer.from(key, 'latin1'), ...(a && { have: a }), ...(b && { want: b }) };
    })
    .filter(({ have: a, want: b }) => a === undefined || b === undefined || text(a) !== text(b))
    .sort((a, b) => comparePaths(a.path, b.path));
}

/** The same, with what is at the directories whose names change. */
export function differenceBetween(have: readonly Entry[], want: readonly Entry[]): Difference {
  const changes = changesBetween(have, want);
  const at = (entries: readonly Entry[], path: Buffer): DirectoryEntry | undefined =>
    entries.find((entry): entry is DirectoryEntry => entry.type === 'directory' && entry.path.equals(path));
  const directories = new Map(
    directoriesOf(changes).map(path => [
      path.toString('latin1'),
      { have: at(have, path), want: at(want, path) },
    ]),
  );
  return { changes, directories };
}
