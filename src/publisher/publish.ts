import { randomBytes } from 'node:crypto';
import { throwIfAborted } from '../image/error.js';
import { checkContent } from './check-content.js';
import { checkTags } from './check-tags.js';
import { Reporter } from './event.js';
import { Journal } from './journal.js';
import { makeOpenTarget } from './open-target.js';
import { STATE_DIRECTORY } from './options.js';
import type { PublishOptions } from './options.js';
import { withUnpacker } from './produce-disk.js';
import type { ResultRow } from './row.js';
import { anyOpen, needsUnpacker, planned, runTargets, withTargetRuns } from './run-targets.js';
import { surveyAll } from './survey-all.js';
import { findImage } from '../store/find-image.js';

/**
 * Makes an image known in every target, and resolves to a row for each. The image is unpacked once, its disk
 * captured, and each target gets the blocks that it has not. What a target has already is left as it is; when
 * all of them have it, nothing is written anywhere. A target that fails has a row with `Error`, and the others
 * go on.
 *
 * When it is interrupted at any time, `resume` with the run (which the event `run` tells), or publishing again,
 * ends with exactly one image in each target. Throws `IMAGE_UNKNOWN`, `IMAGE_UNSUPPORTED` for one that no volume can
 * hold, before anything is written, `USAGE` for tags that are none, `CANCELLED`,
 * what the unpacker's function throws, and `NO_SPACE` or `NO_PERMISSION` when the journal cannot be written.
 */
export async function publish(options: PublishOptions): Promise<ResultRow[]> {
  const { store, targets, tags = {}, expiresIn, stateDirectory = STATE_DIRECTORY, signal } = options;
  checkTags(tags);
  throwIfAborted(signal);
  const now = options.now ?? (() => new Date());
  const record = await findImage(store, options.image);
  const image = record.name;
  const reporter = new Reporter(options.onEvent, now);
  const openTarget = options.openTarget ?? makeOpenTarget(store, undefined, options.unpackers);
  const surveys = await surveyAll(record, { ...options, openTarget }, now);
  if (!planned(surveys)) return surveys.map(({ row }) => told(reporter, row));
  await checkContent(store, record, surveys, signal);
  const began = now();
  const expiresAt =
    expiresIn === undefined ? null : new Date(began.getTime() + expiresIn * 1000).toISOString();
  const run = runName(began);
  const begin = { run, image, digest: record.digest, tags: { ...tags }, expiresAt, targets: [...targets] };
  return withTargetRuns(surveys, begin, { ...options, openTarget, now }, async runs => {
    if (!anyOpen(runs)) return runs.map(({ row }) => told(reporter, row));
    return withUnpacker(needsUnpacker(runs) ? options.unpacker : undefined, async unpacker => {
      const journal = await Journal.create(stateDirectory, begin, now);
      try {
        reporter.tell({ type: 'run', run, image, targets: targets.map(({ name }) => name) });
        return await runTargets(runs, { journal, reporter, unpacker, bytes: record.bytes, signal, now });
      } finally {
        await journal.close();
      }
    });
  });
}

function told(reporter: Reporter, row: ResultRow): ResultRow {
  reporter.tell({ type: 'result', row });
  return row;
}

/** A name that sorts by time and is nobody else's: 20261123T060000Z-1a2b3c. */
function runName(began: Date): string {
  const time = began.toISOString().replace(/[-:]|\.\d+/g, '');
  return `${time}-${randomBytes(3).toString('hex')}`;
}
