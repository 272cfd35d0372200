import { join } from 'node:path';
import test from 'ava';
import { damageIn } from '../contract/damage-directory.js';
import type { MakeStore } from '../contract/store.js';
import { testStore } from '../contract/store.js';
import { connectTo, serveStore, shortDirectory } from './serving.js';

const make: MakeStore = async t => {
  const location = join(shortDirectory(t), 'store');
  // The images of the contract have no content.
  const { address } = await serveStore(t, location, { requireWhole: () => Promise.resolve() });
  const open = () => connectTo(t, address);
  return { store: await open(), reopen: open, ...damageIn(location) };
};

testStore(test, 'remote', make);
