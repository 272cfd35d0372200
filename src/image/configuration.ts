import * as v from 'valibot';
import type { Document, Node } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { ImageUnpackerError } from './error.js';
import { nearest } from './nearest.js';

/** A configuration that a person would write is far below it. */
const MAX_CONFIGURATION_BYTES = 4 << 20;

const NO_MAPPING = 'a mapping of keys to values is expected';

/** A mapping with these keys and no others; what is wrong with it is said with the key that was probably meant. */
export function section<const E extends v.ObjectEntries>(entries: E) {
  return v.strictObject(entries, ({ expected, received, path }) => {
    const key = String(path?.at(-1)?.key);
    if (expected === 'never') {
      const meant = nearest(key, Object.keys(entries));
      const keys = Object.keys(entries).join(', ');
      return `unknown key "${key}"; ${meant === undefined ? `the keys are ${keys}` : `did you mean "${meant}"?`}`;
    }
    if (received === 'undefined') return `the key ${expected} is missing`;
    return NO_MAPPING;
  });
}

/**
 * The value of a YAML 1.2 text that was read from `file`, checked against `schema`. Throws `CONFIGURATION` with
 * the file, the line and what is wrong there, for each fault.
 */
export function parseConfiguration<S extends v.GenericSchema>(
  text: string,
  file: string,
  schema: S,
): v.InferOutput<S> {
  const lines = new LineCounter();
  if (text.length > MAX_CONFIGURATION_BYTES) throw wrong(file, ['it is too large']);
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineOf = (offset: number): string => `line ${String(lines.linePos(offset).line)}`;
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0)
    throw wrong(
      file,
      faults.map(({ pos, message }) => `${lineOf(pos[0])}: ${message}`),
    );
  const value = valueOf(document, file);
  // To a schema a list is a mapping, and an empty one a mapping without keys.
  if (Array.isArray(value)) throw wrong(file, [`line 1: ${NO_MAPPING}`]);
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  // A key that is mistyped explains the one that is missing.
  const issues = [...result.issues].sort(
    (a, b) => Number(b.expected === 'never') - Number(a.expected === 'never'),
  );
  const told = issues.map(issue => {
    const path = (issue.path ?? []).map(({ key }) => key);
    return `${lineOf(offsetOf(document, path))}: ${describe(issue)}`;
  });
  throw wrong(file, told);
}

function valueOf(document: Document, file: string): unknown {
  try {
    return document.toJS() as unknown;
  } catch (reason) {
    throw wrong(file, [reason instanceof Error ? reason.message : String(reason)]);
  }
}

function describe(issue: v.BaseIssue<unknown>): string {
  const where = v.getDotPath(issue);
  return issue.type === 'strict_object' || where === null ? issue.message : `${where}: ${issue.message}`;
}

/** Where in the text the thing at `path` begins; of what is not there, what should hold it. */
function offsetOf(document: Document, path: readonly unknown[]): number {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(item => (isScalar(item.key) ? item.key.value : item.key) === key);
      if (pair === undefined) break;
      offset = startOf(pair.key);
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = startOf(node);
    }
  }
  return offset;
}

function startOf(node: unknown): number {
  return (node as Node | null | undefined)?.range?.[0] ?? 0;
}

function wrong(file: string, faults: readonly string[]): ImageUnpackerError {
  const [first, ...rest] = faults;
  const details = rest.length === 0 ? {} : { details: [...faults] };
  return new ImageUnpackerError('CONFIGURATION', `${file}: ${first ?? 'it is not valid'}`, {
    path: file,
    ...details,
  });
}
