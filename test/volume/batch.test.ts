import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { FileEntry } from '../../src/image/entry.js';
import type { Operation } from '../../src/image/operation.js';
import { runBatch } from '../../src/native.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { packBatch, unpackReports } from '../../src/volume/batch.js';
import { temporaryDirectory } from '../temporary-directory.js';

const BLOCK = 4096;

/** A file of so many blocks of data, each other block a hole. */
function fileOf(number: number, blocks: number): { entry: FileEntry; data: Buffer } {
  const data = Buffer.alloc(blocks * BLOCK, `${String(number)} `);
  const holes = Array.from({ length: blocks }, (_, at) => ({ start: BigInt(2 * at + 1), count: 1n }));
  const entry: FileEntry = {
    type: 'file',
    path: Buffer.from(`staging/${String(number)}`),
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: BigInt(number) * 1_000_000_000n,
    flags: 0,
    xattrs: [],
    names: [],
    size: BigInt(2 * blocks * BLOCK),
    holes,
    digest: blocks === 0 ? null : sha512(data),
  };
  return { entry, data };
}

async function prepare(t: ExecutionContext) {
  const directory = temporaryDirectory(t);
  const root = join(directory, 'root');
  mkdirSync(root);
  const store = await openLocalStore(join(directory, 'store'), { create: true });
  t.teardown(() => store.close());
  const [rootFd, objects] = [root, join(directory, 'store/objects/sha512')].map(path => openSync(path, 'r'));
  t.teardown(() => [rootFd!, objects!].forEach(closeSync));
  const run = (operations: readonly Operation[], reports: readonly Buffer[], threads: number) =>
    runBatch(rootFd!, packBatch(operations, reports), objects!, {}, { threads });
  return { root, store, run };
}

for (const threads of [0, 1, 5]) {
  test(`${String(threads)} threads: files have their content, and afterwards what is said of them`, async t => {
    const { root, store, run } = await prepare(t);
    const files = Array.from({ length: 200 }, (_, number) =>
      fileOf(number, number % 9 === 0 ? 300 : number % 5),
    );
    for (const { data } of files) await store.put(data);
    const moved = (path: Buffer): Buffer => Buffer.from(path.toString().replace('staging/', 'there-'));
    const operations: Operation[] = [
      { do: 'make-directory', path: Buffer.from('staging') },
      ...files.map(({ entry }): Operation => ({ do: 'make-file', path: entry.path, entry })),
      ...files.map(({ entry }): Operation => ({ do: 'rename', path: entry.path, to: moved(entry.path) })),
      { do: 'remove-directory', path: Buffer.from('staging') },
      ...files.map(({ entry: { path, type, mtime } }): Operation => {
        return { do: 'change', path: moved(path), type, mtime, removeXattrs: [], setXattrs: [] };
      }),
    ];
    const reports = unpackReports(
      await run(
        operations,
        files.map(({ entry }) => moved(entry.path)),
        threads,
      ),
    );
    for (const [number, { entry, data }] of files.entries()) {
      const path = join(root, moved(entry.path).toString());
      const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
      t.deepEqual([size, mtimeNs], [entry.size, entry.mtime]);
      t.deepEqual(reports[number], { inode: Number(ino), ctime: ctimeNs });
      const content = readFileSync(path);
      for (let at = 0; at < data.length; at += BLOCK) {
        const found = content.subarray(2 * at, 2 * at + 2 * BLOCK);
        const wanted = Buffer.concat([data.subarray(at, at + BLOCK), Buffer.alloc(BLOCK)]);
        if (!found.equals(wanted)) t.fail(`${path} differs at ${String(2 * at)}`);
      }
    }
  });

  test(`${String(threads)} threads: an object that is not there ends it, and is named`, async t => {
    const { store, run } = await prepare(t);
    const files = Array.from({ length: 100 }, (_, number) => fileOf(number, 1 + (number % 3)));
    for (const [number, { data }] of files.entries()) if (number !== 50) await store.put(data);
    const operations: Operation[] = [
      { do: 'make-directory', path: Buffer.from('staging') },
      ...files.map(({ entry }): Operation => ({ do: 'make-file', path: entry.path, entry })),
    ];
    const error = await t.throwsAsync(run(operations, [], threads), { code: 'ENOENT' });
    const missing = sha512(files[50]!.data).toString('hex');
    t.is(String((error as unknown as { path: Buffer }).path), `${missing.slice(0, 2)}/${missing}`);
  });
}
