import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { build } from '../imageserver/replication/stores.js';
import { connectTo, serveStore } from '../imageserver/serving.js';
import { makeSmall } from './small-file-system.js';

const MIB = 1 << 20;

async function* inPieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += MIB) yield Promise.resolve(bytes.subarray(at, at + MIB));
}

test('an image server whose disk is full says so, goes on, and takes the rest when there is room', async t => {
  const small = makeSmall(t, 'size=24m');
  const { address } = await serveStore(t, join(small, 'store'));
  const store = await connectTo(t, address);
  await build(store, 'base/a/1', ['there before']);
  const filler = join(small, 'filler');
  writeFileSync(filler, randomBytes(12 * MIB));
  const large = randomBytes(16 * MIB);
  const some = Array.from({ length: 32 }, () => randomBytes(MIB / 2));
  const objects = some.map(bytes => ({ digest: sha512(bytes), bytes }));
  const full = { code: 'NO_SPACE' };

  await t.throwsAsync(store.putStream(inPieces(large)), full);
  await t.throwsAsync(store.putMany!(objects), full);
  await t.throwsAsync(store.put(randomBytes(MIB)), full);
  t.deepEqual(
    (await store.list()).map(({ name }) => name),
    ['base/a/1'],
  );
  t.deepEqual(await store.read(sha512(Buffer.from('there before')), 100), Buffer.from('there before'));
  t.deepEqual(await store.has([sha512(large)]), [false]);

  rmSync(filler);
  t.true((await store.putStream(inPieces(large.subarray(0, 4 * MIB)))).added);
  await build(store, 'base/a/2', ['new']);
  t.is((await store.list()).length, 2);
});
