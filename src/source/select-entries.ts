import { ImageUnpackerError } from '../image/error.js';
import { LOST_AND_FOUND } from '../image/ext4-limits.js';
import type { PathFilter } from '../image/filter.js';
import { selectPaths } from '../image/filter.js';
import { isBelow } from '../image/path.js';
import { unsupported } from './fault.js';

const NO_FILTER: PathFilter = { keepsSelected: false, expressions: [] };

export interface SelectOptions {
  filter?: PathFilter | undefined;
  /** Told of what is left out or may surprise. */
  warn: (message: string) => void;
}

/**
 * Whether each entry of a tree, in the order of their paths, becomes part of the image: what the filter
 * keeps, without `/lost+found`. Throws `SOURCE_UNSUPPORTED` if that would lose something, and
 * `SOURCE_EMPTY` when nothing but the root is left.
 */
export function selectEntries(
  entries: Iterable<{ path: Buffer; isDirectory: boolean }>,
  { filter = NO_FILTER, warn }: SelectOptions,
): boolean[] {
  let at = 0;
  let found: { at: number; isDirectory: boolean } | undefined;
  const below: number[] = [];
  function* paths(): Generator<Buffer, void, undefined> {
    for (const { path, isDirectory } of entries) {
      if (path.equals(LOST_AND_FOUND)) found = { at, isDirectory };
      else if (isBelow(path, LOST_AND_FOUND)) below.push(at);
      at++;
      yield path;
    }
  }
  const kept = selectPaths(filter, paths());
  if (found !== undefined && kept[found.at] === true) {
    if (!found.isDirectory) throw fault('is not a directory');
    if (below.some(each => kept[each])) throw fault('is not empty');
    kept[found.at] = false;
    warn('/lost+found is left out: every file system has one of its own');
  }
  if (!kept.includes(true, 1)) throw empty(kept.length === 1);
  return kept;
}

function fault(what: string): ImageUnpackerError {
  return unsupported(LOST_AND_FOUND, `${what}, and every file system has one of its own; move what it holds`);
}

function empty(isWhole: boolean): ImageUnpackerError {
  const why = isWhole ? 'The source is empty' : 'The source holds nothing that is kept';
  return new ImageUnpackerError('SOURCE_EMPTY', `${why}; an image has at least one entry beside its root`);
}
