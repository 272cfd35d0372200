import { pathFault } from '../../image/path.js';
import { damaged, unsupported, type Place } from './fault.js';

const SLASH = 0x2f;
const ABSOLUTE = 'absolute; pack the tree from its own root, with tar -C';

/**
 * Turns a name of an archive into a path of an image: what means nothing (`.` as a component, slashes
 * doubled or at the end) goes, and what could lead out of the tree (`..`, a slash at the start) is
 * refused. `what` is how messages call the name ("name", "hard link target"). The result is a copy.
 *
 * Throws `SOURCE_DAMAGED` if there is no name, `SOURCE_UNSUPPORTED` if no image can hold it.
 */
export function normalisePath(place: Place, what: string, name: Buffer): Buffer {
  if (name.length === 0) throw damaged(place, `its ${what} is empty`);
  if (name[0] === SLASH) throw unsupported(place, `its ${what} is ${ABSOLUTE}`);
  const path = pathFault(name) === undefined ? Buffer.from(name) : withoutEmpty(name);
  const fault = pathFault(path);
  if (fault !== undefined) throw unsupported(place, `its ${what} ${fault}; rename it and pack it again`);
  return path;
}

function withoutEmpty(name: Buffer): Buffer {
  const kept: Buffer[] = [];
  for (let start = 0; start < name.length;) {
    let end = name.indexOf(SLASH, start);
    if (end < 0) end = name.length;
    const component = name.subarray(start, end);
    const isNothing = component.length === 0 || (component.length === 1 && component[0] === 0x2e);
    if (!isNothing) kept.push(kept.length === 0 ? component : name.subarray(start - 1, end));
    start = end + 1;
  }
  return Buffer.concat(kept);
}

/** Whether a name ends with a slash, which makes a directory of what else would be a file. */
export function endsWithSlash(name: Buffer): boolean {
  return name[name.length - 1] === SLASH;
}
