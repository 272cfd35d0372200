import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { openLocalStore } from '../../src/store/local/store.js';
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
  const damage: StoreUnderTest['damage'] = async (digest, how) => {
    const hex = digest.toString('hex');
    const file = join(location, 'objects/sha512', hex.slice(0, 2), hex);
    chmodSync(file, 0o644);
    const bytes = readFileSync(file);
    if (how === 'missing') rmSync(file);
    else if (how === 'empty') truncateSync(file, 0);
    else if (how === 'short') truncateSync(file, bytes.length - 1);
    else {
      bytes[bytes.length - 1]! ^= 1;
      writeFileSync(file, bytes);
    }
    return Promise.resolve();
  };
  const damageMap: StoreUnderTest['damageMap'] = async (image, disk) => {
    const file = join(location, 'disk-maps', image, disk.toString('hex'));
    const bytes = readFileSync(file);
    bytes[40]! ^= 1;
    writeFileSync(file, bytes);
    return Promise.resolve();
  };
  const damageChannel: StoreUnderTest['damageChannel'] = async (stream, name) => {
    writeFileSync(join(location, 'channels', stream, `@${name}`), 'x');
    return Promise.resolve();
  };
  return { store: await open(), reopen: open, damage, damageMap, damageChannel };
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
