// `client.mjs fetch|read|await ADDRESS CERTS IMAGE DIRECTORY COUNT`: what agents do with an image server, bare. It prints, as
// JSON, the seconds that each of COUNT clients took from its start.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectStore, serverLocation } from '../../src/rpc/connect-store.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import type { Store } from '../../src/store/store.js';

const LOOK_MILLISECONDS = 20;

/** Each object of an image that is the content of a file, once. */
async function contentOf(store: Store, image: string): Promise<Buffer[]> {
  const { digest } = await store.image(image);
  const manifest = await ManifestReader.open(store, Buffer.from(digest, 'hex'));
  const digests = new Map<string, Buffer>();
  for await (const entry of manifest.entries())
    if (entry.type === 'file' && entry.digest !== null)
      digests.set(entry.digest.toString('latin1'), entry.digest);
  return [...digests.values()];
}

const WORK: Record<string, (store: Store, image: string) => Promise<void>> = {
  /** Makes all objects files of this machine, hashed. */
  fetch: async (store, image) => {
    const fetched = await store.fetch(await contentOf(store, image), {});
    await fetched.close();
  },
  /** Reads and hashes all objects, one after the other, and keeps nothing. */
  read: async (store, image) => {
    for (const digest of await contentOf(store, image)) {
      const chunks = store.stream(digest)[Symbol.asyncIterator]();
      while ((await chunks.next()).done !== true);
    }
  },
  /** Waits until the image is there. */
  await: async (store, image) => {
    while (!(await store.list()).some(({ name }) => name === image)) await sleep(LOOK_MILLISECONDS);
  },
};

const [work = '', address = '', certs = '', image = '', directory = '', count = '1'] = process.argv.slice(2);
const began = performance.now();
const clients = Array.from({ length: Number(count) }, async (_, number) => {
  const cache = { directory: join(directory, String(number)), maxBytes: 2 ** 40 };
  const store = await connectStore(serverLocation(address), { cache, certs });
  try {
    await WORK[work]!(store, image);
    return (performance.now() - began) / 1000;
  } finally {
    await store.close();
  }
});
console.log(JSON.stringify(await Promise.all(clients)));
