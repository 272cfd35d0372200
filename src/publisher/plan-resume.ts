import type { Store } from '../store/store.js';
import { readRun } from './journal.js';
import type { RunOptions, UnpackersOptions } from './options.js';
import { STATE_DIRECTORY } from './options.js';
import type { PlanRow } from './plan.js';
import { plan } from './plan.js';
import { imageOf } from './resume.js';

/** Says for each target of a run what `resume` would do there, and changes nothing. Throws as `resume`. */
export async function planResume(
  run: string,
  options: RunOptions & { readonly store: Store; readonly unpackers?: UnpackersOptions | undefined },
): Promise<PlanRow[]> {
  const { store, stateDirectory = STATE_DIRECTORY } = options;
  const record = await readRun(stateDirectory, run);
  const { name } = await imageOf(record, store);
  return plan({ ...options, image: name, targets: record.begin.targets });
}
