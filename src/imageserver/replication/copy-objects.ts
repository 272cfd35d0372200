import { ImageUnpackerError } from '../../image/error.js';
import { inParallel } from '../../image/in-parallel.js';
import { putMany } from '../../store/put-many.js';
import type { Ends } from './options.js';

/** An object, and how many bytes it is said to have; undefined where nothing says it. */
export interface WantedObject {
  digest: Buffer;
  size: bigint | undefined;
}

export interface CopyOptions {
  signal: AbortSignal;
  /** Told of what has travelled. */
  onCopied: (objects: number, bytes: number) => void;
}

/** Objects up to this size travel in batches; a larger one fills a connection by itself. */
const SMALL_BYTES = 1n << 20n;
/** What a batch holds at most: it is in memory as a whole. */
const BATCH_BYTES = 4n << 20n;
const BATCH_OBJECTS = 1000;
/** Enough to fill a connection of 1 Gb/s over 50 ms; some 50 MiB of memory on either side of the copy. */
const AT_ONCE = 6;

/**
 * Copies those of the objects that the destination has not, each verified when it is read and when it is stored. Throws
 * `STORE_DAMAGED` for one that the source cannot give.
 */
export async function copyObjects(
  ends: Ends,
  wanted: readonly WantedObject[],
  options: CopyOptions,
): Promise<void> {
  const found = await ends.destination.has(
    wanted.map(({ digest }) => digest),
    { toStore: true },
  );
  const missing = wanted.filter((_, at) => found[at] !== true);
  await inParallel(batchesOf(missing), AT_ONCE, batch => copyBatch(ends, batch, options), options.signal);
}

/** Small objects in batches, and each of the others, or of an unknown size, for itself. Large ones come first. */
function batchesOf(objects: readonly WantedObject[]): WantedObject[][] {
  const large: WantedObject[][] = [];
  const batches: WantedObject[][] = [];
  let bytes = 0n;
  for (const object of objects) {
    if (object.size === undefined || object.size > SMALL_BYTES) {
      large.push([object]);
      continue;
    }
    const last = batches.at(-1);
    bytes += object.size;
    if (last === undefined || bytes > BATCH_BYTES || last.length >= BATCH_OBJECTS) {
      batches.push([object]);
      bytes = object.size;
    } else {
      last.push(object);
    }
  }
  return [...large, ...batches];
}

async function copyBatch(
  { source, destination }: Ends,
  batch: readonly WantedObject[],
  { onCopied, signal }: CopyOptions,
): Promise<void> {
  const [first] = batch;
  if (first!.size === undefined || first!.size > SMALL_BYTES) {
    const chunks = untilAborted(source.stream(first!.digest), signal);
    const { digest, size } = await destination.putStream(chunks);
    if (!digest.equals(first!.digest)) throw otherBytes(first!.digest.toString('hex'));
    onCopied(1, size);
    return;
  }
  const digests = batch.map(({ digest }) => digest);
  const contents = await source.readMany(digests, Number(SMALL_BYTES));
  const objects = contents.map((bytes, at) => ({ digest: digests[at]!, bytes }));
  await putMany(destination, objects).catch((reason: unknown) => {
    const digest = reason instanceof ImageUnpackerError && reason.code === 'USAGE' && reason.subject.digest;
    throw typeof digest === 'string' ? otherBytes(digest) : reason;
  });
  onCopied(
    batch.length,
    contents.reduce((sum, bytes) => sum + bytes.length, 0),
  );
}

/** A large object need not be copied to its end when nobody wants it any more. */
async function* untilAborted(
  chunks: AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of chunks) {
    if (signal.aborted) throw new ImageUnpackerError('CANCELLED', 'The copying of objects was interrupted');
    yield chunk;
  }
}

/** A source whose reads verify never gives other bytes; this does not rest on it. */
function otherBytes(digest: string): ImageUnpackerError {
  return new ImageUnpackerError(
    'STORE_DAMAGED',
    `The source gave other bytes for the object ${digest}; 'imagetool verify' finds what is damaged there`,
    { digest },
  );
}
