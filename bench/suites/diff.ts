import type { Entry } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import { ManifestWriter } from '../../src/image/manifest.js';
import { loadPathHash } from '../../src/image/path-hash.js';
import { openLocalStore } from '../../src/store/local/store.js';
import type { Store } from '../../src/store/store.js';
import { measure } from '../measure.js';
import type { Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';
import { ours } from '../workshop.js';

/* Two images are compared: only their manifests, of a million files each, are there. */

const FILES = 1_000_000;
const FILES_IN_DIRECTORY = 100;
const ORIGIN = 'bench/many/0';
const BASE = 'nothing changed';

/** Which of the files are other ones in the second image. */
const CHANGES: readonly { tool: string; image: string; isChanged: (number: number) => boolean }[] = [
  { tool: BASE, image: 'bench/many/same', isChanged: () => false },
  { tool: '1 % changed, side by side', image: 'bench/many/near', isChanged: number => number < FILES / 100 },
  { tool: '1 % changed, everywhere', image: 'bench/many/wide', isChanged: number => number % 100 === 0 },
  { tool: 'all changed', image: 'bench/many/all', isChanged: () => true },
];

/** A comparison costs what changed, not what there is. */
export async function diffSuite(workshop: Workshop): Promise<Task[]> {
  const { signal } = workshop;
  const location = workshop.path('manifests');
  const store = await openLocalStore(location, { create: true, signal });
  try {
    await storeManifest(store, ORIGIN, () => false);
    for (const { image, isChanged } of CHANGES) await storeManifest(store, image, isChanged);
  } finally {
    await store.close();
  }
  const contestants = CHANGES.map(({ tool, image }): Contestant => {
    const words = ours('imagetool', 'diff', ORIGIN, image, '--store', location, '--json');
    return { tool, attempt: async () => ({ cost: (await measure(words, { cold: false, signal })).cost }) };
  });
  return [{ title: 'diff of images of 1,000,000 files, warm', base: BASE, contestants }];
}

async function storeManifest(
  store: Store,
  name: string,
  isChanged: (number: number) => boolean,
): Promise<void> {
  const writer = new ManifestWriter(await loadPathHash());
  for (const entry of manyFiles(isChanged)) {
    const page = writer.add(entry);
    if (page !== undefined) await store.put(page.bytes);
  }
  const { page, index } = writer.finish();
  await store.put(page.bytes);
  await store.put(index.bytes);
  await store.create({
    name,
    digest: index.digest.toString('hex'),
    createdAt: new Date().toISOString(),
    expiresAt: null,
    entries: index.index.entries,
    bytes: index.index.bytes,
    tags: {},
    annotations: {},
  });
}

function* manyFiles(isChanged: (number: number) => boolean): Generator<Entry, void, undefined> {
  const common = { uid: 0, gid: 0, flags: 0, xattrs: [] };
  const directory = (path: string): Entry => {
    return { type: 'directory', path: Buffer.from(path), mode: 0o755, mtime: 0n, ...common };
  };
  yield directory('');
  for (let number = 0; number < FILES; number++) {
    const at = `package-${String(Math.floor(number / FILES_IN_DIRECTORY)).padStart(5, '0')}`;
    if (number % FILES_IN_DIRECTORY === 0) yield directory(at);
    const path = Buffer.from(`${at}/file-${String(number % FILES_IN_DIRECTORY).padStart(2, '0')}.conf`);
    const mtime = 1_700_000_000_000_000_000n + BigInt(number);
    const digest = sha512(isChanged(number) ? Buffer.concat([path, Buffer.from('new')]) : path);
    const content = { size: 1000n, holes: [], digest, names: [] };
    yield { type: 'file', path, mode: 0o644, mtime, ...common, ...content };
  }
}
