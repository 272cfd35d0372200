/**
 * `value` as one line of JSON. A bigint is written as a number where a number holds it exactly, else as a
 * string of its digits; nothing at all is `null`.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value ?? null, replaceBigInt);
}

/** A list with more items than this is written in several pieces. */
const LONG = 4096;

/** The same, in pieces: an object may have lists of millions, which would not fit into memory once more as text. */
export function* jsonPieces(value: unknown): Generator<string, void, undefined> {
  if (!hasLongList(value)) {
    yield toJson(value);
    return;
  }
  let before = '{';
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    yield `${before}${JSON.stringify(key)}:`;
    before = ',';
    if (Array.isArray(item)) yield* listPieces(item);
    else yield toJson(item);
  }
  yield '}';
}

function hasLongList(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).some(item => Array.isArray(item) && item.length > LONG);
}

function* listPieces(items: readonly unknown[]): Generator<string, void, undefined> {
  yield '[';
  for (let at = 0; at < items.length; at += LONG) {
    yield (at === 0 ? '' : ',') + toJson(items.slice(at, at + LONG)).slice(1, -1);
  }
  yield ']';
}

function replaceBigInt(_key: string, value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}
