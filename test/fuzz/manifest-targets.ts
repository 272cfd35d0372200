import fc from 'fast-check';
import { decodeIndex } from '../../src/image/manifest.js';
import type { Entry } from '../../src/image/entry.js';
import { dataSizeOf } from '../../src/image/entry.js';
import type { IndexedPage } from '../../src/image/packing.js';
import { indexedPages, PackedReader } from '../../src/image/packing.js';
import { decodePage, PageWriter } from '../../src/image/page.js';
import { comparePages, isNativeError, NewDataCount } from '../../src/native.js';
import { goldenTree } from '../image/golden-tree.js';
import { encodeIndex } from '../model/hand-made.js';
import { manifestWriter } from '../model/manifest-writer.js';
import { manyFiles } from '../model/many-files.js';
import { entriesOf, treePlan } from '../model/tree.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';
import type { Cases, Target } from './target.js';
import { accepts, must } from './target.js';

/** Trees of every kind, always the same. */
function trees(): Entry[][] {
  const random = fc.sample(treePlan, { numRuns: 40, seed: 1 }).map(entriesOf);
  return [goldenTree, manyFiles(300), ...random];
}

function encode(entries: readonly Entry[]): Buffer {
  const writer = new PageWriter();
  for (const entry of entries) writer.add(entry);
  return writer.take();
}

/**
 * Pages, read by both readers: the one that decodes every entry, and the native one that walks over them. What the
 * first accepts has no other encoding, and the second finds the same entries in it.
 */
export const pageTarget: Target = {
  name: 'page',
  prepare: () => {
    const pages = trees().map(encode);
    return Promise.resolve({
      attempt: async (random: Random) => {
        const page = mutate(random.of(pages), random, random.of(pages));
        let entries: Entry[] = [];
        const accepted = await accepts(['IMAGE_INVALID'], () => (entries = decodePage(page)));
        if (accepted) must(encode(entries).equals(page), 'it is encoded otherwise');
        const first = accepted ? entries[0]!.path : random.of([Buffer.alloc(0), Buffer.from('a')]);
        const count = accepted ? entries.length : random.below(20);
        const walked = await walk(page, first, count);
        if (accepted) must(walked === entries.length, 'the native reader does not');
        const counted = await countData(page, first, count);
        if (accepted) must(counted === bytesOf(entries), 'its data is counted otherwise');
        return accepted;
      },
    } satisfies Cases);
  },
};

/** How many bytes of data files have; the same data counts once. */
function bytesOf(entries: readonly Entry[]): bigint {
  const sizes = new Map<string, bigint>();
  for (const entry of entries) {
    if (entry.type !== 'file' || entry.digest === null) continue;
    const digest = entry.digest.toString('hex');
    if (!sizes.has(digest)) sizes.set(digest, dataSizeOf(entry.size, entry.holes));
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0n);
}

/** The same as the addon counts it; undefined when it refuses the page. */
async function countData(page: Buffer, first: Buffer, entries: number): Promise<bigint | undefined> {
  const count = new NewDataCount();
  try {
    await count.add([], pageAlone(page, first, entries), {});
    if ((await count.end({})) === undefined) return 0n;
    const bytes = count.bytes();
    return bytes.readBigUInt64LE(0) + (bytes.readBigUInt64LE(8) << 64n);
  } catch (reason) {
    if (isNativeError(reason) && reason.code === 'EBADMSG') return undefined;
    throw reason;
  }
}

function pageAlone(page: Buffer, first: Buffer, entries: number): IndexedPage[] {
  const reference = { digest: Buffer.alloc(64), entries, length: page.length, first };
  const index = { entries, bytes: 0n, blocks: 0n, pages: [reference] };
  return indexedPages(index, new Map([[0, page]]));
}

/** How many entries the native reader finds in a page; undefined when it refuses it. */
async function walk(page: Buffer, first: Buffer, entries: number): Promise<number | undefined> {
  try {
    const packed = await comparePages([], pageAlone(page, first, entries), {});
    let count = 0;
    for (const reader = new PackedReader(packed); !reader.done; count++) {
      reader.bytes();
      // There is no page on the one side; on the other the numbers of page and entry, and the body.
      for (let field = 0; field < 3; field++) reader.u32();
      reader.bytes();
    }
    return count;
  } catch (reason) {
    if (isNativeError(reason) && reason.code === 'EBADMSG') return undefined;
    throw reason;
  }
}

/** Indexes: what is accepted has no other encoding. */
export const indexTarget: Target = {
  name: 'index',
  prepare: () => {
    const indexes = [...trees(), manyFiles(6000)].map(entries => {
      const writer = manifestWriter();
      for (const entry of entries) writer.add(entry);
      return writer.finish().index.bytes;
    });
    return Promise.resolve({
      attempt: (random: Random) =>
        accepts(['IMAGE_INVALID'], () => {
          const bytes = mutate(random.of(indexes), random, random.of(indexes));
          const { entries, bytes: size, blocks, pages } = decodeIndex(bytes);
          must(encodeIndex(entries, size, blocks, pages).equals(bytes), 'it is encoded otherwise');
        }),
    } satisfies Cases);
  },
};
