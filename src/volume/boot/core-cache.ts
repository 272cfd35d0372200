import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceDurably } from '../../store/durable.js';
import type { StateDirectory } from '../state-directory.js';
import { readIfThere } from '../state-directory.js';
import type { CoreCache } from './bios-loader.js';

/*
 * DIR/loaders/KEY in the state directory: a linked boot loader by what it was made of.
 *
 *   file = core check
 *   check = 32 bytes                 SHA-256 of the core
 */

const CHECK_BYTES = 32;
/** As many as streams have different loaders; the oldest go. */
const MOST_KEPT = 32;

/** Keeps linked boot loaders, so that they are not linked again at each revision. */
export function coreCache(state: StateDirectory): CoreCache {
  const directory = join(state.path, 'loaders');
  return {
    get: async key => {
      const bytes = await readIfThere(join(directory, key));
      if (bytes === undefined || bytes.length <= CHECK_BYTES) return undefined;
      const core = bytes.subarray(0, bytes.length - CHECK_BYTES);
      // One that is damaged is made again.
      return checkOf(core).equals(bytes.subarray(core.length)) ? core : undefined;
    },
    put: async (key, core) => {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await removeOldest(directory);
      await replaceDurably(join(directory, key), Buffer.concat([core, checkOf(core)]), 0o600);
    },
  };
}

/** Keeps nothing. */
export const NO_CACHE: CoreCache = {
  get: () => Promise.resolve(undefined),
  put: () => Promise.resolve(),
};

function checkOf(core: Buffer): Buffer {
  return createHash('sha256').update(core).digest();
}

async function removeOldest(directory: string): Promise<void> {
  const names = await readdir(directory);
  if (names.length < MOST_KEPT) return;
  const files = await Promise.all(
    names.map(async name => ({ name, time: (await stat(join(directory, name))).mtimeMs })),
  );
  files.sort((a, b) => b.time - a.time);
  for (const { name } of files.slice(MOST_KEPT - 1)) await rm(join(directory, name), { force: true });
}
