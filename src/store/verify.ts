import type { Entry } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import { displayPath } from '../image/path.js';
import type { ProgressSink } from '../image/progress.js';
import { TreeValidator } from '../image/validate.js';
import type { Watch } from '../native.js';
import { ManifestReader } from './manifest-reader.js';
import type { ImageRecord, ObjectFault, Store } from './store.js';

/** Objects that are checked at once: enough for all cores, little to hold. */
const BATCH_OBJECTS = 16_384;

/** Something that an image needs and that is not good. */
export interface ImageFault {
  /** In hex. */
  digest: string;
  kind: 'index' | 'page' | 'data' | 'annotation';
  /** Invalid: it is what its digest says, and not what an image can hold. */
  state: ObjectFault['state'] | 'invalid';
  /** What is invalid about it. */
  why?: string;
  /** What needs it: files, the key of an annotation; of a page the path where it begins; "/" of the index. */
  neededBy: string[];
}

/** What was read of an image, and what of it is not good. */
export interface Verification {
  name: string;
  digest: string;
  /** Objects with the data of files, and annotations, each counted once. */
  objects: number;
  /** What they hold. */
  bytes: number;
  faults: ImageFault[];
}

export interface VerifyOptions {
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/** Objects by their digests as Latin-1. */
type Faults = ReadonlyMap<string, ObjectFault['state']>;

/** Reads and hashes all of an image: index, pages, objects. Finds everything in it that is not good. */
export async function verifyImage(
  store: Store,
  record: ImageRecord,
  options: VerifyOptions,
): Promise<Verification> {
  const { signal } = options;
  const faults: ImageFault[] = [];
  const reader = await openManifest(store, record, faults, { signal });
  const pages = reader === undefined ? [] : await goodPages(store, reader, faults, { signal });
  const objects = new Map<string, Buffer>();
  for (const annotation of Object.values(record.annotations)) add(objects, Buffer.from(annotation, 'hex'));
  if (reader !== undefined) await readPages(reader, pages, faults, entry => addData(objects, entry));
  const { bad, bytes } = await checkAll(store, [...objects.values()], options);
  for (const [key, digest] of Object.entries(record.annotations)) {
    const state = bad.get(Buffer.from(digest, 'hex').toString('latin1'));
    if (state !== undefined) faults.push({ digest, kind: 'annotation', state, neededBy: [key] });
  }
  if (reader !== undefined && bad.size > 0) await addDataFaults(reader, pages, bad, faults);
  return { name: record.name, digest: record.digest, objects: objects.size, bytes, faults };
}

function add(objects: Map<string, Buffer>, digest: Buffer): void {
  // A copy: the digest of an entry would keep its whole page.
  const key = digest.toString('latin1');
  if (!objects.has(key)) objects.set(key, Buffer.from(digest));
}

function addData(objects: Map<string, Buffer>, entry: Entry): void {
  if (entry.type === 'file' && entry.digest !== null) add(objects, entry.digest);
}

async function openManifest(store: Store, record: ImageRecord, faults: ImageFault[], watch: Watch) {
  const digest = Buffer.from(record.digest, 'hex');
  const [found] = await store.check([digest], watch);
  const fault: Omit<ImageFault, 'state'> = { digest: record.digest, kind: 'index', neededBy: ['/'] };
  if (found !== undefined) {
    faults.push({ ...fault, state: found.state });
    return undefined;
  }
  return ifValid(
    () => ManifestReader.open(store, digest),
    why => faults.push({ ...fault, state: 'invalid', why }),
  );
}

/** The pages that have the digests that the index says. */
async function goodPages(store: Store, reader: ManifestReader, faults: ImageFault[], watch: Watch) {
  const { pages } = reader.index;
  const found = await store.check(
    pages.map(page => page.digest),
    watch,
  );
  const bad = new Map(found.map(({ digest, state }) => [digest.toString('latin1'), state]));
  return [...pages.keys()].filter(number => {
    const state = bad.get(pages[number]!.digest.toString('latin1'));
    if (state !== undefined) faults.push({ ...pageFault(reader, number), state });
    return state === undefined;
  });
}

/** Goes through the entries of pages. If none is missing, they must be a tree. */
async function readPages(
  reader: ManifestReader,
  numbers: readonly number[],
  faults: ImageFault[],
  visit: (entry: Entry) => void,
): Promise<void> {
  const isWhole = numbers.length === reader.index.pages.length;
  const validator = new TreeValidator();
  for (const number of numbers) {
    const isValid = await ifValid(
      async () => {
        for (const entry of await reader.entriesOf(number)) {
          visit(entry);
          if (isWhole) validator.add(entry);
        }
        if (isWhole && number === numbers.at(-1)) validator.finish(reader.index);
        return true;
      },
      why => faults.push({ ...pageFault(reader, number), state: 'invalid', why }),
    );
    // Whatever follows would be wrong by this fault alone.
    if (isValid === undefined) return;
  }
}

function pageFault(reader: ManifestReader, number: number): Omit<ImageFault, 'state'> {
  const { digest, first } = reader.index.pages[number]!;
  return { digest: digest.toString('hex'), kind: 'page', neededBy: [displayPath(first)] };
}

/** The result of `read`; undefined, with why told to `otherwise`, when that is not what an image can hold. */
async function ifValid<T>(read: () => Promise<T>, otherwise: (why: string) => void): Promise<T | undefined> {
  try {
    return await read();
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== 'IMAGE_INVALID') throw reason;
    otherwise(reason.message);
    return undefined;
  }
}

async function checkAll(store: Store, digests: readonly Buffer[], { progress, signal }: VerifyOptions) {
  const bad = new Map<string, ObjectFault['state']>();
  const step = progress.step('Reading objects', 'bytes');
  let bytes = 0;
  try {
    for (let at = 0; at < digests.length; at += BATCH_OBJECTS) {
      const before = bytes;
      const onProgress = (_: number, read: number): void => step.update((bytes = before + read));
      const faults = await store.check(digests.slice(at, at + BATCH_OBJECTS), { signal, onProgress });
      for (const { digest, state } of faults) bad.set(digest.toString('latin1'), state);
    }
  } finally {
    step.end();
  }
  return { bad, bytes };
}

/** Finds the files that need the objects that are not good. */
async function addDataFaults(
  reader: ManifestReader,
  pages: readonly number[],
  bad: Faults,
  faults: ImageFault[],
): Promise<void> {
  const byDigest = new Map<string, ImageFault>();
  for (const number of pages) {
    const entries =
      (await ifValid(
        () => reader.entriesOf(number),
        () => undefined,
      )) ?? [];
    for (const entry of entries) {
      if (entry.type !== 'file' || entry.digest === null) continue;
      const key = entry.digest.toString('latin1');
      const state = bad.get(key);
      if (state === undefined) continue;
      const known = byDigest.get(key) ?? {
        digest: entry.digest.toString('hex'),
        kind: 'data',
        state,
        neededBy: [],
      };
      for (const path of [entry.path, ...entry.names]) known.neededBy.push(displayPath(path));
      byDigest.set(key, known);
    }
  }
  faults.push(...byDigest.values());
}
