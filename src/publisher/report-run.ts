import { cancelled, ImageUnpackerError, throwIfAborted } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import type { ImageRecord, Store } from '../store/store.js';
import { diffImages } from '../store/diff-images.js';
import { findRun } from './journal.js';
import { STATE_DIRECTORY } from './options.js';
import type { RunReport } from './run-report.js';
import { describeJournal } from './run-report.js';

/** What a report is made of. */
export interface ReportOptions {
  /** Where the journals of runs are kept; default: `/var/lib/image-unpacker`. */
  readonly stateDirectory?: string | undefined;
  /** Where the images are, to compare the one that was published with the one before it. */
  readonly store?: Store | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Tells what a run did, when, and what came of it, from its journal; of one that is still going on, what it has done
 * until now. Changes nothing, and asks no target. Throws `USAGE` when there is no such run, `STATE_DAMAGED`, `CANCELLED`.
 */
export async function reportRun(
  run: string,
  { stateDirectory = STATE_DIRECTORY, store, signal }: ReportOptions = {},
): Promise<RunReport> {
  throwIfAborted(signal);
  const report = describeJournal(await findRun(stateDirectory, run));
  try {
    return { ...report, Changes: await changesOf(report, store, signal) };
  } catch (reason) {
    if (signal?.aborted === true) throw cancelled();
    // The images may be gone by now; what was published is told of in any case.
    if (!(reason instanceof ImageUnpackerError)) throw reason;
    return { ...report, Changes: null, ChangesFault: reason.message };
  }
}

async function changesOf(
  { ImageName, ImageDigest, Targets }: Pick<RunReport, 'ImageName' | 'ImageDigest' | 'Targets'>,
  store: Store | undefined,
  signal: AbortSignal | undefined,
) {
  if (store === undefined) throw unknown('No store was given to compare the images in');
  const image = await store.image(ImageName);
  if (image.digest !== ImageDigest) throw unknown(`${ImageName} is another image now`);
  const parent = Targets.find(({ ParentImageName }) => ParentImageName !== undefined)?.ParentImageName;
  const before = parent === undefined ? await previous(store, image) : await store.image(parent);
  if (before === undefined) throw unknown(`${ImageName} is the first image of its stream in the store`);
  return diffImages(store, before, image, { signal });
}

/** The image of the stream that was built before this one. */
async function previous(store: Store, image: ImageRecord): Promise<ImageRecord | undefined> {
  const images = await store.list(parseImageName(image.name).stream);
  const at = images.findIndex(({ name }) => name === image.name);
  return at < 1 ? undefined : images[at - 1];
}

function unknown(message: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_UNKNOWN', message);
}
