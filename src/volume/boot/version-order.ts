/*
 * Versions in their order, as the UAPI Group's "Version Format Specification" (UAPI.10) has it: numbers count as
 * numbers, `~` makes what follows a release before it, `^` one after it, `-` and `.` separate.
 */

const INSIGNIFICANT = /^[^0-9A-Za-z~.^-]+/;
/** Which separator comes first: `~` before the end, the end before `-`, `^` and `.`. */
const RANK: Readonly<Record<string, number>> = { '~': 0, '': 1, '-': 2, '^': 3, '.': 4 };
const OTHER = 5;

/** Orders two versions: negative when `a` is the earlier one. */
export function compareVersions(a: string, b: string): number {
  let [left, right] = [a, b];
  for (;;) {
    left = left.replace(INSIGNIFICANT, '');
    right = right.replace(INSIGNIFICANT, '');
    const order = rankOf(left) - rankOf(right);
    if (order !== 0) return order;
    if (left === '') return 0;
    if (rankOf(left) < OTHER) {
      left = left.slice(1);
      right = right.slice(1);
      continue;
    }
    const digits = /^[0-9]/.test(left) || /^[0-9]/.test(right);
    const part = digits ? /^[0-9]*/ : /^[A-Za-z]*/;
    const [x, y] = [part.exec(left)![0], part.exec(right)![0]];
    const difference = digits ? compareNumbers(x, y) : compareTexts(x, y);
    if (difference !== 0) return difference;
    left = left.slice(x.length);
    right = right.slice(y.length);
  }
}

function rankOf(rest: string): number {
  return RANK[rest.slice(0, 1)] ?? OTHER;
}

/** No digits at all count as less than any number. */
function compareNumbers(x: string, y: string): number {
  if (x === '' || y === '') return x.length - y.length;
  const [left, right] = [BigInt(x), BigInt(y)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function compareTexts(x: string, y: string): number {
  return x < y ? -1 : x > y ? 1 : 0;
}
