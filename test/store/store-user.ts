// A process that uses a store in a directory: `store-user.ts LOCATION`. Each line on standard input is a call in JSON,
// [name, ...parameters]; it is answered by a line in JSON.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { silentProgress } from '../../src/image/progress.js';
import { collect } from '../../src/store/local/collect.js';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { partsOf } from '../../src/store/object-parts.js';
import { storeImage } from '../model/stored-image.js';
import { treeOf } from './store-content.js';

const location = process.argv[2]!;
let store: LocalStore | undefined;
const opened = async (): Promise<LocalStore> => (store ??= await openLocalStore(location));
const digestOf = (text: string): Buffer => createHash('sha512').update(text).digest();

const CALLS: Record<string, (...parameters: string[]) => Promise<unknown>> = {
  put: async text => (await (await opened()).put(Buffer.from(text))).added,
  has: async text => (await (await opened()).has([digestOf(text)]))[0],
  size: async text => (await partsOf(await opened()).sizes([digestOf(text)]))[0],
  read: async text => (await (await opened()).read(digestOf(text), 1000)).toString(),
  create: async (name, text) => storeImage(await opened(), name, treeOf(text)),
  // As an uploader does, who asks first.
  upload: async (name, text) => {
    const to = await opened();
    if (!(await to.has([digestOf(text)]))[0]) await to.put(Buffer.from(text));
    await setTimeout(5);
    return storeImage(to, name, treeOf(text));
  },
  remove: async name => (await opened()).remove(name),
  close: async () => {
    await store?.close();
    store = undefined;
  },
  collect: () => collect(location, { dryRun: false, progress: silentProgress }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...parameters] = JSON.parse(line) as [string, ...string[]];
  let answer: unknown;
  try {
    answer = { result: (await CALLS[name]!(...parameters)) ?? null };
  } catch (reason) {
    answer = { error: reason instanceof Error ? `${reason.message}\n${reason.stack ?? ''}` : String(reason) };
  }
  process.stdout.write(
    `${JSON.stringify(answer, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}\n`,
  );
}
