import type { Entry, FileEntry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import { manifestFault } from '../image/manifest-fault.js';
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

/** What is wrong with an object. */
type Fault = Pick<ImageFault, 'state' | 'why'>;
/** Faults of objects by their digests as Latin-1. */
type Faults = Map<string, Fault>;

/** An object that is needed, with what a file says that it holds. */
interface NeededObject {
  digest: Buffer;
  size?: bigint;
}
type NeededObjects = Map<string, NeededObject>;

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
  const objects: NeededObjects = new Map();
  for (const annotation of Object.values(record.annotations)) add(objects, Buffer.from(annotation, 'hex'));
  if (reader !== undefined) await readPages(reader, pages, faults, entry => addData(objects, entry));
  const { bad, bytes } = await checkAll(store, [...objects.values()], options);
  for (const [key, digest] of Object.entries(record.annotations)) {
    const fault = bad.get(Buffer.from(digest, 'hex').toString('latin1'));
    if (fault !== undefined) faults.push({ digest, kind: 'annotation', ...fault, neededBy: [key] });
  }
  if (reader !== undefined && bad.size > 0) await addDataFaults(reader, pages, bad, faults);
  return { name: record.name, digest: record.digest, objects: objects.size, bytes, faults };
}

function add(objects: NeededObjects, digest: Buffer): NeededObject {
  const key = digest.toString('latin1');
  const known = objects.get(key);
  if (known !== undefined) return known;
  // A copy: the digest of an entry would keep its whole page.
  const needed = { digest: Buffer.from(digest) };
  objects.set(key, needed);
  return needed;
}

function addData(objects: NeededObjects, entry: Entry): void {
  if (entry.type !== 'file' || entry.digest === null) return;
  const needed = add(objects, entry.digest);
  const size = dataSizeOf(entry.size, entry.holes);
  needed.size ??= size;
  if (needed.size !== size)
    throw manifestFault(entry.path, 'has another size than a file with the same digest');
}

async function openManifest(store: Store, record: ImageRecord, faults: ImageFault[], watch: Watch) {
  const digest = Buffer.from(record.digest, 'hex');
  const [found] = (await store.check([digest], watch)).faults;
  const fault: Omit<ImageFault, 'state'> = { digest: record.digest, kind: 'index', neededBy: ['/'] };
  if (found !== undefined) {
    faults.push({ ...fault, state: found.state });
    return undefined;
  }
  const invalid = (why: string): unknown => faults.push({ ...fault, state: 'invalid', why });
  const reader = await ifValid(() => ManifestReader.open(store, digest), invalid);
  const isSame = reader?.index.entries === record.entries && reader.index.bytes === record.bytes;
  if (reader !== undefined && !isSame) invalid('It does not count what the record of the image counts');
  return reader;
}

/** The pages that have the digests that the index says. */
async function goodPages(store: Store, reader: ManifestReader, faults: ImageFault[], watch: Watch) {
  const { pages } = reader.index;
  const { faults: found } = await store.check(
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
async function ifValid<T>(
  read: () => Promise<T>,
  otherwise: (why: string) => unknown,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== 'IMAGE_INVALID') throw reason;
    otherwise(reason.message);
    return undefined;
  }
}

async function checkAll(
  store: Store,
  objects: readonly NeededObject[],
  { progress, signal }: VerifyOptions,
): Promise<{ bad: Faults; bytes: number }> {
  const bad: Faults = new Map();
  const step = progress.step('Reading objects', 'bytes');
  let bytes = 0;
  try {
    for (let at = 0; at < objects.length; at += BATCH_OBJECTS) {
      const before = bytes;
      const batch = objects.slice(at, at + BATCH_OBJECTS);
      const onProgress = (_: number, read: number): void => step.update((bytes = before + read));
      const digests = batch.map(({ digest }) => digest);
      const { faults, sizes } = await store.check(digests, { signal, onProgress });
      for (const [number, needed] of batch.entries()) {
        const fault = sizeFault(needed, sizes[number]!);
        if (fault !== undefined) bad.set(needed.digest.toString('latin1'), fault);
      }
      for (const { digest, state } of faults) bad.set(digest.toString('latin1'), { state });
    }
  } finally {
    step.end();
  }
  return { bad, bytes };
}

function sizeFault({ size }: NeededObject, stored: number): Fault | undefined {
  if (size === undefined || size === BigInt(stored)) return undefined;
  return { state: 'invalid', why: `It has ${String(stored)} bytes, not ${String(size)} as its files say` };
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
    for (const entry of entries) if (entry.type === 'file') addDataFault(entry, bad, byDigest);
  }
  faults.push(...byDigest.values());
}

function addDataFault(
  { digest, path, names }: FileEntry,
  bad: Faults,
  faults: Map<string, ImageFault>,
): void {
  const key = digest?.toString('latin1') ?? '';
  const fault = bad.get(key);
  if (digest === null || fault === undefined) return;
  const known = faults.get(key) ?? { digest: digest.toString('hex'), kind: 'data', ...fault, neededBy: [] };
  for (const name of [path, ...names]) known.neededBy.push(displayPath(name));
  faults.set(key, known);
}
