import type { MovedDifference } from '../image/directory-moves.js';
import { moveDirectories } from '../image/directory-moves.js';
import type { FileEntry } from '../image/entry.js';
import type { Matching, Rewrites } from '../image/inode-match.js';
import { matchInodes, mayDifferInHoles } from '../image/inode-match.js';
import { newContent } from '../image/new-content.js';
import type { Change, Difference, Plan } from '../image/plan.js';
import { planChanges } from '../image/plan.js';
import type { ProgressSink } from '../image/progress.js';
import type { SparseForms } from '../image/sparse-form.js';
import type { ManifestReader } from '../store/manifest-reader.js';
import type { FetchedObjects, Store } from '../store/store.js';
import { chooseRewrites } from './choose-rewrites.js';
import type { CurrentTree } from './current-tree.js';
import type { BlockDevice } from './device.js';
import { FetchAhead } from './fetch-ahead.js';
import type { Contents } from './generated-objects.js';
import { isGenerated } from './generated-objects.js';
import { findPlaces } from '../store/find-entries.js';
import { readSparseForms } from './sparse-record.js';
import type { StageClock } from './stage-clock.js';

/** So many new files are made together rather than each in its place. */
const STAGE_FROM = 64;

/** What a patch is prepared from. */
export interface PatchToPrepare {
  device: BlockDevice;
  store: Store;
  current: CurrentTree;
  want: ManifestReader;
  difference: Difference;
}

/** How it is prepared. */
export interface PreparationOptions {
  clock: StageClock;
  progress: ProgressSink;
  /** What no object has to be fetched for. */
  contents: Contents;
  signal?: AbortSignal | undefined;
}

/** All that a patch needs. */
export interface PreparedPatch {
  plan: Plan;
  /** The objects that the plan writes, all of them verified. They are the caller's to close. */
  objects: FetchedObjects;
}

/**
 * Plans what makes a volume the image, and has the objects for it at hand. The volume is not written to. Throws
 * `STORE_DAMAGED`, naming all objects that are not good.
 */
export async function preparePatch(
  given: PatchToPrepare,
  options: PreparationOptions,
): Promise<PreparedPatch> {
  const isStored = (file: FileEntry): boolean => !isGenerated(file, options.contents);
  const sure = newContent(given.difference.changes).filter(isStored);
  const ahead = new FetchAhead(given.store, sure, options);
  let objects: FetchedObjects | undefined;
  try {
    // Asked first: while it is waited for, what was begun is handed to other threads. Then this one is busy.
    const staging = await stagingName(given, options);
    const moved = moveDirectories(given.difference);
    const matching = matchInodes(moved.changes, await sparseForms(given.current, moved.changes));
    options.clock.enter('fetch');
    const files = matching.unmatched.filter(entry => entry.type === 'file').filter(isStored);
    objects = await ahead.finish(files);
    options.clock.enter('plan');
    const rewrites = await chosenRewrites(given, moved, matching, objects.directory, options);
    return { plan: planChanges(moved, matching, { staging, stageFrom: STAGE_FROM, rewrites }), objects };
  } catch (reason) {
    await (objects ?? ahead).close();
    throw reason;
  }
}

/** What is known of objects, if there is a file of which only the holes may differ. */
async function sparseForms({ record }: CurrentTree, changes: readonly Change[]): Promise<SparseForms> {
  const some = changes.some(
    ({ have, want }) => have?.type === 'file' && want?.type === 'file' && mayDifferInHoles({ have, want }),
  );
  return some && record !== undefined ? readSparseForms(record.directory) : new Map();
}

/** The files that keep their inodes; on a volume that has yet to be made there are none. */
async function chosenRewrites(
  { device, current }: PatchToPrepare,
  moved: MovedDifference,
  matching: Matching,
  objects: number,
  options: PreparationOptions,
): Promise<Rewrites> {
  if (current.record === undefined) return new Map();
  return chooseRewrites(device, { moved, matching, objects }, options);
}

/** A name in the root that neither tree has. */
async function stagingName(
  { want, difference }: PatchToPrepare,
  options: PreparationOptions,
): Promise<Buffer> {
  for (let number = 0; ; number++) {
    const name = Buffer.from(`.image-unpacker-${String(number)}`);
    const [wanted] = await findPlaces(want, [name], options);
    if (wanted === undefined && !difference.changes.some(({ path }) => path.equals(name))) return name;
  }
}
