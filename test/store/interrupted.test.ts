import { chmodSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { temporaryDirectory } from '../temporary-directory.js';

const CONTENT = Buffer.from('what a build has stored');

async function* chunks(): AsyncGenerator<Buffer> {
  yield Promise.resolve(CONTENT);
}

/** A store in which the machine lost the content of an object, with a session that began so many seconds ago. */
async function interrupted(t: ExecutionContext, secondsAgo: number): Promise<LocalStore> {
  const location = join(temporaryDirectory(t), 'store');
  const before = await openLocalStore(location, { create: true });
  const { digest } = await before.put(CONTENT);
  await before.close();
  const hex = digest.toString('hex');
  const object = join(location, 'objects/sha512', hex.slice(0, 2), hex);
  chmodSync(object, 0o644);
  writeFileSync(object, Buffer.alloc(CONTENT.length));
  const session = join(location, 'tmp/0123456789abcdef');
  mkdirSync(session);
  const began = join(session, 'began');
  writeFileSync(began, '');
  const time = Date.now() / 1000 - secondsAgo;
  utimesSync(began, time, time);
  const after = await openLocalStore(location);
  t.teardown(() => after.close());
  return after;
}

test('what was stored since a session began that never ended is read before it is relied on', async t => {
  const store = await interrupted(t, 60);
  const { digest, added } = await store.putStream(chunks());
  t.true(added);
  t.deepEqual(await store.read(digest, 100), CONTENT);
  t.is(readdirSync(join(store.location, 'tmp')).length, 1);
});

test('what was stored long before a session began that never ended is relied on', async t => {
  const store = await interrupted(t, -60);
  t.false((await store.putStream(chunks())).added);
});

test('a store whose making was cut short with an empty or unfinished format is made', async t => {
  for (const names of [['format.new'], ['format'], ['format', 'format.new']]) {
    const location = temporaryDirectory(t);
    for (const name of names) writeFileSync(join(location, name), '');
    await (await openLocalStore(location, { create: true })).close();
    t.false(readdirSync(location).includes('format.new'));
  }
});
