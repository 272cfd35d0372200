import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { openLocalStore } from '../../src/store/local/store.js';
import { damageIn } from '../contract/damage-directory.js';
import type { StoreUnderTest } from '../contract/store.js';
import { testStore } from '../contract/store.js';
import { temporaryDirectory } from '../temporary-directory.js';

async function make(t: ExecutionContext): Promise<StoreUnderTest> {
  const location = join(temporaryDirectory(t), 'store');
  const open = async () => {
    const store = await openLocalStore(location, { create: true });
    t.teardown(() => store.close());
    return store;
  };
  return { store: await open(), reopen: open, ...damageIn(location) };
}

testStore(test, 'local', make);

test('an object that has grown is found', async t => {
  const { store } = await make(t);
  const { digest } = await store.put(Buffer.from('x'));
  const hex = digest.toString('hex');
  const file = join(store.location, 'objects/sha512', hex.slice(0, 2), hex);
  chmodSync(file, 0o644);
  appendFileSync(file, 'y');
  t.deepEqual((await store.check([digest], {})).faults, [{ digest, state: 'damaged' }]);
  await t.throwsAsync(store.read(digest, 10), { code: 'STORE_DAMAGED' });
});

test('what stands in the place of an object and is no file is found', async t => {
  const { store } = await make(t);
  const { digest } = await store.put(Buffer.from('x'));
  const hex = digest.toString('hex');
  const file = join(store.location, 'objects/sha512', hex.slice(0, 2), hex);
  const others: (() => void)[] = [
    () => mkdirSync(file),
    () => {
      symlinkSync('/dev/zero', file);
    },
    () => execFileSync('mkfifo', [file]),
  ];
  for (const make of others) {
    rmSync(file, { recursive: true });
    make();
    t.deepEqual((await store.check([digest], {})).faults, [{ digest, state: 'damaged' }]);
    await t.throwsAsync(store.read(digest, 10), { code: 'STORE_DAMAGED', message: new RegExp(hex) });
  }
});
