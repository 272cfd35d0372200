import type { FileEntry } from '../../image/entry.js';
import { dataSizeOf } from '../../image/entry.js';
import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../../image/limits.js';
import type { ManifestIndex, PageReference } from '../../image/manifest.js';
import { decodeIndex } from '../../image/manifest.js';
import { isDamage, unlessDamaged } from '../../store/damage.js';
import { deriveOrSend } from '../../store/derive-or-send.js';
import { findDerivable } from '../../store/find-derivable.js';
import { ManifestReader } from '../../store/manifest-reader.js';
import type { ImageRecord, Store } from '../../store/store.js';
import type { CopyOptions, WantedObject } from './copy-objects.js';
import { copyObjects } from './copy-objects.js';
import type { Ends } from './options.js';

/** Pages that are read at once; one alone may have more. */
const BATCH_BYTES = 4 << 20;
/** Each of them keeps a thread. */
const DERIVED_AT_ONCE = 2;
/** So many digests are remembered, lest the same object is asked for again: some 40 MiB. */
const REMEMBERED = 200_000;

/**
 * Copies all that an image needs and the destination lacks: what files hold, then the pages that name it, then the index,
 * so that who has a later part has the earlier. Pages of `base`, an image that the destination has as a whole, are
 * complete there and not looked at, and files that differ from its in their holes only are made of those. Throws `STORE_DAMAGED`, `IMAGE_INVALID`.
 */
export async function copyContent(
  ends: Ends,
  record: ImageRecord,
  base: ImageRecord | undefined,
  options: CopyOptions,
): Promise<void> {
  const digest = Buffer.from(record.digest, 'hex');
  const bytes = await ends.source.read(digest, MAX_INDEX_BYTES);
  const index = decodeIndex(bytes);
  const earlier = base === undefined ? undefined : await openManifest(ends.destination, base);
  const complete = new Set(earlier?.index.pages.map(page => page.digest.toString('latin1')));
  const reader = new ManifestReader(index, pagesOfEither(ends, index), ends.source.limits);
  const copied = new Set<string>();
  await copyAnnotations(ends, record, options);
  for (const batch of batchesOf(index, complete)) {
    const pages = await reader.pages(batch);
    const files = await filesOf(reader, batch, copied);
    const missing = await missingOf(ends.destination, files);
    await deriveOrCopy(ends, earlier, missing, options);
    for (const page of pages.values()) await copyMetadata(ends.destination, page, options);
  }
  await copyMetadata(ends.destination, bytes, options);
}

/** Copies the objects that are kept with an image. */
export async function copyAnnotations(ends: Ends, record: ImageRecord, options: CopyOptions): Promise<void> {
  const wanted = Object.values(record.annotations).map(each => ({
    digest: Buffer.from(each, 'hex'),
    size: undefined,
  }));
  await copyObjects(ends, wanted, options);
}

/** The manifest of an image; undefined when its index cannot be read. */
async function openManifest(store: Store, { digest }: ImageRecord): Promise<ManifestReader | undefined> {
  return unlessDamaged(digest, ignoreDamage, () => ManifestReader.open(store, Buffer.from(digest, 'hex')));
}

/** Those of some files whose data the destination has not. */
async function missingOf(destination: Store, files: readonly FileEntry[]): Promise<FileEntry[]> {
  const has = await destination.has(
    files.map(({ digest }) => digest!),
    { toStore: true },
  );
  return files.filter((_, at) => !has[at]);
}

/** Makes what can be made of what the destination has, and copies the rest, which is all where that is damaged. */
async function deriveOrCopy(
  ends: Ends,
  earlier: ManifestReader | undefined,
  files: readonly FileEntry[],
  options: CopyOptions,
): Promise<void> {
  const { destination } = ends;
  const { signal } = options;
  const canDerive = earlier !== undefined && destination.derive !== undefined;
  const find = async () => (canDerive ? findDerivable(earlier, files, { signal }) : []);
  await deriveOrSend(files, (await unlessDamaged('', ignoreDamage, find)) ?? [], {
    derive: async ({ wanted, found }, until) => (await destination.derive?.(wanted, found, until)) === true,
    most: DERIVED_AT_ONCE,
    send: (left, until) => copyObjects(ends, left.map(wantedObject), { ...options, signal: until }),
    signal,
  });
}

/** What is damaged here is brought anew, or told of by whoever needs it. */
function ignoreDamage(): void {
  return;
}

/** Pages that the destination has need not travel. */
function pagesOfEither({ source, destination }: Ends, { pages }: ManifestIndex) {
  return {
    pages: async (numbers: readonly number[]): Promise<Buffer[]> => {
      const digests = numbers.map(number => pages[number]!.digest);
      const has = await destination.has(digests);
      const [near, far] = [digests.filter((_, at) => has[at]), digests.filter((_, at) => !has[at])];
      const read = await readNear(destination, near);
      const sent = await source.readMany(read === undefined ? digests : far, MAX_PAGE_BYTES);
      if (read === undefined) return sent;
      const [ours, theirs] = [read.values(), sent.values()];
      return has.map(isNear => (isNear ? ours : theirs).next().value!);
    },
  };
}

/** Undefined when one of them is damaged: to put it again mends it. */
async function readNear(store: Store, digests: readonly Buffer[]): Promise<Buffer[] | undefined> {
  try {
    return await store.readMany(digests, MAX_PAGE_BYTES);
  } catch (reason) {
    if (isDamage(reason)) return undefined;
    throw reason;
  }
}

/** The numbers of the pages that are not complete, as many at a time as are held in memory. */
function* batchesOf({ pages }: ManifestIndex, complete: ReadonlySet<string>): Generator<number[], void> {
  let batch: number[] = [];
  let bytes = 0;
  const isWanted = ({ digest }: PageReference): boolean => !complete.has(digest.toString('latin1'));
  for (const [number, page] of pages.entries()) {
    if (!isWanted(page)) continue;
    if (batch.length > 0 && bytes + page.length > BATCH_BYTES) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(number);
    bytes += page.length;
  }
  if (batch.length > 0) yield batch;
}

/** The files of some pages that have data, in the order of their paths; of the same data one. */
async function filesOf(
  reader: ManifestReader,
  numbers: readonly number[],
  copied: Set<string>,
): Promise<FileEntry[]> {
  const files: FileEntry[] = [];
  for (const number of numbers) {
    for (const entry of await reader.entriesOf(number)) {
      if (entry.type !== 'file' || entry.digest === null) continue;
      const key = entry.digest.toString('latin1');
      if (copied.has(key)) continue;
      if (copied.size >= REMEMBERED) copied.clear();
      copied.add(key);
      files.push(entry);
    }
  }
  return files;
}

function wantedObject({ digest, size, holes }: FileEntry): WantedObject {
  return { digest: digest!, size: dataSizeOf(size, holes) };
}

async function copyMetadata(destination: Store, bytes: Buffer, { onCopied }: CopyOptions): Promise<void> {
  const { added } = await destination.put(bytes);
  if (added) onCopied(1, bytes.length);
}
