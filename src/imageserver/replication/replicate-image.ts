import { isDeepStrictEqual } from 'node:util';
import { ImageUnpackerError } from '../../image/error.js';
import type { ImageRecord, Store } from '../../store/store.js';
import { copyContent } from './copy-content.js';
import type { Ends, ReplicationOptions } from './options.js';

/** Told of progress no more often. */
const PROGRESS_MILLISECONDS = 500;

/** What the destination has where an image is to be. */
export interface Place {
  /** What has the image's name there. */
  existing: ImageRecord | undefined;
  /** An image that is there as a whole and probably has most of the content. */
  base: ImageRecord | undefined;
}

/**
 * Makes an image of the source one of the destination's: all that it needs is there before it can be seen. Throws
 * `IMAGE_UNKNOWN` when the source has it no more, `STORE_DAMAGED`, `IMAGE_INVALID`.
 */
export async function replicateImage(
  ends: Ends,
  name: string,
  { existing, base }: Place,
  options: ReplicationOptions,
): Promise<void> {
  const record = await ends.source.image(name);
  if (existing !== undefined && isSameBut(existing, record)) {
    if (!isDeepStrictEqual(plain(existing), plain(record))) {
      await ends.destination.replace(record, existing);
      options.onEvent({ kind: 'changed', image: name });
    }
    return;
  }
  const began = options.clock.now();
  const sent = await copyAll(ends, record, base, options);
  // Others who look for the name find what was there until all is ready.
  if (existing !== undefined) await ends.destination.remove(name, { expected: existing, force: true });
  await ends.destination.create(record, { reuseName: true });
  const seconds = (options.clock.now() - began) / 1000;
  options.onEvent({ kind: 'image', image: name, digest: record.digest, ...sent, seconds });
}

async function copyAll(
  ends: Ends,
  record: ImageRecord,
  base: ImageRecord | undefined,
  { clock, signal, onEvent }: ReplicationOptions,
): Promise<{ objects: number; bytes: number }> {
  const sent = { objects: 0, bytes: 0 };
  let told = clock.now();
  const onCopied = (objects: number, bytes: number): void => {
    sent.objects += objects;
    sent.bytes += bytes;
    if (clock.now() - told < PROGRESS_MILLISECONDS) return;
    told = clock.now();
    onEvent({ kind: 'progress', image: record.name, ...sent });
  };
  await copyContent(ends, record, base, { signal, onCopied });
  // Was what it was relied on deleted meanwhile, its content may have been collected.
  if (base !== undefined && !(await isThere(ends.destination, base))) {
    await copyContent(ends, record, undefined, { signal, onCopied });
  }
  return sent;
}

async function isThere(store: Store, { name, digest }: ImageRecord): Promise<boolean> {
  try {
    return (await store.image(name)).digest === digest;
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'IMAGE_UNKNOWN') return false;
    throw reason;
  }
}

/** Whether two records differ at most in what may change in the life of an image. */
function isSameBut(a: ImageRecord, b: ImageRecord): boolean {
  return isDeepStrictEqual(plain({ ...a, ...CHANGING }), plain({ ...b, ...CHANGING }));
}

const CHANGING = { expiresAt: null, tags: {} };

/** Records come from JSON and from elsewhere: what their maps inherit says nothing. */
function plain(record: ImageRecord): ImageRecord {
  return { ...record, tags: { ...record.tags }, annotations: { ...record.annotations } };
}
