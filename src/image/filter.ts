import { ImageUnpackerError } from './error.js';
import { isBelow, parentPath } from './path.js';

/*
 * Which paths of a source are left out.
 *
 *   filter  = [ "!" LF ] ( [ line ] LF )*
 *   line    = "#" anything | an ECMAScript regular expression, matched from the start of a path
 *
 * The paths begin with a slash. Expressions and paths are bytes: each byte is the character of that number
 * (Latin-1), "." is any of them. A path is selected by an expression that matches it, or a directory above it.
 * Selected paths are left out; after a first line "!" they and the directories above them are all that is
 * kept. The root is always kept.
 */

/** A filter that was read from a file. */
export interface PathFilter {
  keepsSelected: boolean;
  expressions: readonly RegExp[];
}

/** The filter in `text`. Throws `CONFIGURATION`, naming `file` and the line, for what is no expression. */
export function parseFilter(text: Buffer, file: string): PathFilter {
  const lines = text.toString('latin1').split(/\r?\n/);
  const keepsSelected = lines[0] === '!';
  const expressions: RegExp[] = [];
  for (const [at, line] of lines.entries()) {
    if ((at === 0 && keepsSelected) || line.trim() === '' || line.startsWith('#')) continue;
    expressions.push(parseExpression(line, `${file}, line ${String(at + 1)}`, file));
  }
  return { keepsSelected, expressions };
}

function parseExpression(line: string, place: string, file: string): RegExp {
  try {
    // By itself first: put between parentheses, some lines would mean something else.
    new RegExp(line, 's');
    return new RegExp(`^(?:${line})`, 's');
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new ImageUnpackerError('CONFIGURATION', `${place}: ${why}`, { path: file }, reason);
  }
}

/**
 * Whether each of the paths is kept, in their order. They are all paths of a tree, in the order in which it
 * is sorted, the root first.
 */
export function selectPaths(filter: PathFilter, paths: Iterable<Buffer>): boolean[] {
  const kept: boolean[] = [];
  let selected: Buffer | undefined;
  // The directories above the path at hand, by their place in `kept`.
  const above: { path: Buffer; at: number }[] = [];
  for (const path of paths) {
    const at = kept.length;
    if (selected === undefined || !isBelow(path, selected))
      selected = matches(filter, path) ? path : undefined;
    kept.push(path.length === 0 || (selected === undefined) !== filter.keepsSelected);
    if (!filter.keepsSelected) continue;
    while (above.length > 0 && !above.at(-1)!.path.equals(parentPath(path))) above.pop();
    if (selected !== undefined) for (const directory of above) kept[directory.at] = true;
    above.push({ path, at });
  }
  return kept;
}

function matches({ expressions }: PathFilter, path: Buffer): boolean {
  if (path.length === 0) return false;
  const text = `/${path.toString('latin1')}`;
  return expressions.some(expression => expression.test(text));
}
