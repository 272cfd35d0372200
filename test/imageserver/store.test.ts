import { chmodSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { MakeStore, StoreUnderTest } from '../contract/store.js';
import { testStore } from '../contract/store.js';
import { connectTo, serveStore, shortDirectory } from './serving.js';

const make: MakeStore = async t => {
  const location = join(shortDirectory(t), 'store');
  // The images of the contract have no content.
  const { address } = await serveStore(t, location, { requireWhole: () => Promise.resolve() });
  const damage: StoreUnderTest['damage'] = (digest, how) => {
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
  return {
    store: await connectTo(t, address),
    reopen: () => connectTo(t, address),
    damage,
    damageMap: (image, disk) => {
      const file = join(location, 'disk-maps', image, disk.toString('hex'));
      const bytes = readFileSync(file);
      bytes[40]! ^= 1;
      writeFileSync(file, bytes);
      return Promise.resolve();
    },
    damageChannel: (stream, name) => {
      writeFileSync(join(location, 'channels', stream, `@${name}`), 'x');
      return Promise.resolve();
    },
  };
};

testStore(test, 'remote', make);
