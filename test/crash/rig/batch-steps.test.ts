import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import type { FileEntry } from '../../../src/image/entry.js';
import type { Operation } from '../../../src/image/operation.js';
import { packBatch } from '../../../src/volume/batch.js';
import { operationsOf } from './batch-steps.js';

const path = Buffer.from('a/b');
const to = Buffer.from('a/longer name');
const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [], names: [] };
const digest = sha512(Buffer.from('data'));
const holes = [{ start: 0n, count: 1n }];
const full: FileEntry = { type: 'file', path, ...metadata, size: 4100n, holes, digest };
const empty: FileEntry = { type: 'file', path, ...metadata, size: 0n, holes: [], digest: null };
const xattr = { name: Buffer.from('user.a'), value: Buffer.from('value') };
const nothing = { removeXattrs: [], setXattrs: [] };

/** One of each that there is, and each part that a change can have. */
const OPERATIONS: readonly Operation[] = [
  { do: 'make-directory', path },
  { do: 'make-file', path, entry: full },
  { do: 'make-file', path, entry: empty },
  { do: 'make-symlink', path, target: to },
  { do: 'make-node', path, entry: { type: 'fifo', path, ...metadata } },
  { do: 'link', path, to },
  { do: 'rename', path, to },
  { do: 'unlink', path },
  { do: 'remove-directory', path },
  { do: 'rewrite', path, entry: full },
  { do: 'replace', path, entry: full },
  { do: 'set-holes', path, entry: full },
  { do: 'change', path, type: 'file', ...nothing },
  { do: 'change', path, type: 'file', ...nothing, owner: { uid: 1, gid: 2 }, mode: 0o600 },
  { do: 'change', path, type: 'file', removeXattrs: [to, path], setXattrs: [xattr, xattr] },
  { do: 'change', path, type: 'file', ...nothing, mtime: -1n, flags: 16 },
];

test('a batch is cut where each of its operations ends', t => {
  const expected = [...OPERATIONS.map(operation => packBatch([operation], [])), packBatch([], [path])];
  t.deepEqual(operationsOf(packBatch(OPERATIONS, [path])), expected);
});
