import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { connectImageServer } from '../../src/rpc/image-server-client.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { imagetoolOn } from '../cli/imagetool/run.js';
import { faultsOf } from './replication/stores.js';
import { serveStore, shortDirectory } from './serving.js';

const BLOCK = 4096;
const BYTES = 3 << 20;
const DATA = randomBytes(1 << 20);
/** The same bytes as those of a file whose middle is a hole. */
const ZEROS = Buffer.alloc(1 << 20);

interface Piece {
  at: number;
  bytes: Buffer;
}

/** A directory with one file of these pieces, and holes between them. */
async function tree(t: ExecutionContext, pieces: readonly Piece[]): Promise<string> {
  const directory = join(shortDirectory(t), 'tree');
  await mkdir(directory);
  const file = openSync(join(directory, 'large'), 'w');
  for (const { at, bytes } of pieces) writeSync(file, bytes, 0, bytes.length, at);
  ftruncateSync(file, BYTES);
  closeSync(file);
  return directory;
}

const ends = (data: Buffer): Piece[] => [
  { at: 0, bytes: data },
  { at: 2 << 20, bytes: data },
];
const HOLE = ends(DATA);
const WRITTEN = [...HOLE, { at: 1 << 20, bytes: ZEROS }];
const PARTLY = [...HOLE, { at: 1 << 20, bytes: ZEROS.subarray(0, 30 * BLOCK) }];
const OTHER = [...ends(randomBytes(1 << 20)), { at: 1 << 20, bytes: ZEROS }];

/** How many bytes a server receives of a revision whose file is of the second pieces, where it has an image with the first. */
async function received(
  t: ExecutionContext,
  [first, second]: readonly [Piece[], Piece[]],
  demandsContent = false,
): Promise<number> {
  const location = join(shortDirectory(t), 'store');
  const { address } = await serveStore(t, location, { demandsContent });
  const client = await connectImageServer(address, address, { certs: '' });
  t.teardown(() => {
    client.close();
  });
  const build = async (leaf: string, pieces: readonly Piece[]): Promise<number> => {
    const cache = join(shortDirectory(t), 'cache');
    const from = await tree(t, pieces);
    const before = Number((await client.status()).bytesReceived);
    const places = ['--server', address, '--cache', cache];
    const { code, err } = await imagetoolOn(undefined, 'build', `os/a/${leaf}`, '--from', from, ...places);
    t.is(code, 0, err);
    return Number((await client.status()).bytesReceived) - before;
  };
  await build('1', first);
  const bytes = await build('2', second);
  const store = await openLocalStore(location);
  t.teardown(() => store.close());
  t.deepEqual(await faultsOf(store), []);
  return bytes;
}

for (const [title, change] of Object.entries({
  'a hole that was written to': [HOLE, WRITTEN],
  'zeros that became a hole': [WRITTEN, HOLE],
  'a hole that became smaller': [HOLE, PARTLY],
} as const)) {
  test(`what has other holes is made of what the server has: ${title}`, async t => {
    t.true((await received(t, change)) < 10_000);
  });
}

test('what has other holes and other bytes is sent', async t => {
  t.true((await received(t, [HOLE, OTHER])) >= BYTES);
});

test('a server that demands all content has it sent', async t => {
  t.true((await received(t, [HOLE, WRITTEN], true)) >= BYTES);
});
