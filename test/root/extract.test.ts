import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { INODE_FLAGS } from '../../src/image/entry.js';
import { silentProgress } from '../../src/image/progress.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { extractImage } from '../../src/volume/extract.js';
import { storeImage } from '../model/stored-image.js';
import { makeVolume, mountUntilEnd } from './ext4-fixture.js';

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };
const directory = (path: string, more: object = {}): Entry => {
  return { ...metadata, type: 'directory', path: Buffer.from(path), ...more };
};
const empty = (path: string, more: object = {}): Entry => {
  const content = { size: 0n, holes: [], digest: null, names: [] };
  return { ...metadata, type: 'file', path: Buffer.from(path), ...content, ...more };
};

/** Extracts a tree into a directory of an ext4 file system. */
async function extract(
  t: ExecutionContext,
  root: string,
  at: string,
  entries: readonly Entry[],
): Promise<void> {
  const location = join(root, 'store');
  const store = await openLocalStore(location, { create: true });
  try {
    const image = await storeImage(store, `test/extract/${String(Date.now())}`, entries);
    await extractImage({ store, image, directory: at, progress: silentProgress });
  } finally {
    await store.close();
  }
}

test('what cannot be made exactly is named, and all that was made before goes again', async t => {
  const root = mountUntilEnd(t, makeVolume(t));
  const deep = Array.from({ length: 24 }, (_, at) =>
    Array.from({ length: at + 1 }, () => 'd'.repeat(200)).join('/'),
  );
  const entries = [
    directory(''),
    // Its time is one that ext4 cannot hold, and the kernel would not say so.
    empty('a', { mtime: 10n ** 20n }),
    empty('b', { flags: INODE_FLAGS.immutable }),
    ...deep.map(path => directory(path, { flags: INODE_FLAGS.append })),
    empty(`${deep.at(-1)!}/file`, { flags: INODE_FLAGS.immutable }),
  ];
  // Of files the last ones are settled first where the first one fails: it must be the last to be tried.
  const late = entries.map(entry =>
    entry.path.equals(Buffer.from('a')) ? { ...entry, path: Buffer.from('z') } : entry,
  );
  const sorted = (list: readonly Entry[]): Entry[] =>
    [...list].sort((x, y) => Buffer.compare(x.path, y.path));
  for (const [list, path] of [
    [entries, '/a'],
    [late, '/z'],
  ] as const) {
    const refusal = { code: 'OUTPUT', message: new RegExp(`at ${path}: EOVERFLOW`) };
    const fresh = join(root, 'fresh');
    await t.throwsAsync(extract(t, root, fresh, sorted(list)), refusal);
    t.false(existsSync(fresh));
    const there = join(root, 'there');
    mkdirSync(there, { recursive: true });
    await t.throwsAsync(extract(t, root, there, sorted(list)), refusal);
    t.deepEqual(readdirSync(there), []);
  }
});
