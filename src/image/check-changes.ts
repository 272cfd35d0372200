import type { Entry, LinkableEntry } from './entry.js';
import type { ImageUnpackerError } from './error.js';
import { keyOf, parentKeyOf, pathsOf } from './inode-match.js';
import type { ManifestIndex } from './manifest.js';
import { dataBlocksOf } from './manifest.js';
import { manifestFault, miscounted } from './manifest-fault.js';
import { displayPath } from './path.js';
import type { Change } from './plan.js';
import type { TouchedDirectory } from './plan-metadata.js';

/**
 * Checks that what is wanted is a tree, given that what is there is one and that the two differ by
 * `changes` only: what is new lies in directories, nothing is left below what is no directory any more,
 * and the names of each inode agree from both sides. `occupied` are the paths (`keyOf`) of
 * former directories below which the wanted tree has entries. Throws `IMAGE_INVALID`.
 */
export function checkChanges(
  changes: readonly Change[],
  directories: ReadonlyMap<string, TouchedDirectory>,
  occupied: ReadonlySet<string>,
): void {
  const byPath = new Map(changes.map(change => [keyOf(change.path), change]));
  for (const { path, have, want } of changes) {
    if (want !== undefined && path.length > 0 && directories.get(parentKeyOf(path))?.want === undefined) {
      throw manifestFault(path, 'is not in a directory');
    }
    if (path.length === 0 && want?.type !== 'directory') throw manifestFault(path, 'is not a directory');
    if (occupied.has(keyOf(path))) {
      throw manifestFault(path, 'is not a directory, but has entries below it');
    }
    if (want !== undefined && 'names' in want) checkNames(want, byPath);
    if (have !== undefined && 'names' in have) checkFormerNames(have, byPath);
    if (have?.type === 'link' && !byPath.has(keyOf(have.target))) throw notAName(have.target, path);
    if (want?.type === 'link') checkLink(path, byPath.get(keyOf(want.target)), want.target);
  }
}

/**
 * Checks that the index of what is wanted counts right, given that the one of what is there does. Throws
 * `IMAGE_INVALID`.
 */
export function checkCounts(
  have: ManifestIndex,
  want: ManifestIndex,
  changes: readonly Pick<Change, 'have' | 'want'>[],
): void {
  let { entries, bytes, blocks } = have;
  const add = (entry: Entry | undefined, sign: 1 | -1): void => {
    if (entry === undefined) return;
    entries += sign;
    if (entry.type === 'file') bytes += BigInt(sign) * entry.size;
    blocks += BigInt(sign) * dataBlocksOf(entry);
  };
  for (const change of changes) {
    add(change.have, -1);
    add(change.want, 1);
  }
  if (entries === want.entries && bytes === want.bytes && blocks === want.blocks) return;
  throw miscounted();
}

/** Each further name must be a link to the inode, now or already before. */
function checkNames(want: LinkableEntry, byPath: ReadonlyMap<string, Change>): void {
  const before = byPath.get(keyOf(want.path))?.have;
  for (const name of want.names) {
    const change = byPath.get(keyOf(name));
    const links =
      change === undefined
        ? before !== undefined && 'names' in before && before.names.some(other => other.equals(name))
        : change.want?.type === 'link' && change.want.target.equals(want.path);
    if (!links) throw notAName(want.path, name);
  }
}

/** A name that an inode had, and about which nothing changes, must be one still. */
function checkFormerNames(have: LinkableEntry, byPath: ReadonlyMap<string, Change>): void {
  const after = byPath.get(keyOf(have.path))?.want;
  for (const name of have.names) {
    if (byPath.has(keyOf(name))) continue;
    const kept = after !== undefined && 'names' in after && after.names.some(other => other.equals(name));
    if (!kept)
      throw manifestFault(
        name,
        `is a hard link to ${displayPath(have.path)}, which does not have it as a name`,
      );
  }
}

function notAName(path: Buffer, name: Buffer): ImageUnpackerError {
  return manifestFault(path, `has the further name ${displayPath(name)}, which is not one`);
}

function checkLink(path: Buffer, target: Change | undefined, at: Buffer): void {
  const want = target?.want;
  if (want !== undefined && 'names' in want && pathsOf(want).some(name => name.equals(path))) return;
  throw manifestFault(path, `is a hard link to ${displayPath(at)}, which does not have it as a name`);
}
