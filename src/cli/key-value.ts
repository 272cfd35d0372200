import { ImageUnpackerError } from '../image/error.js';

/** The two sides of `KEY=VALUE`, cut at the first `=`. The value may be empty. Throws `USAGE`. */
export function parseKeyValue(text: string): { key: string; value: string } {
  const at = text.indexOf('=');
  if (at <= 0) throw new ImageUnpackerError('USAGE', `"${text}" is not of the form KEY=VALUE`);
  return { key: text.slice(0, at), value: text.slice(at + 1) };
}

/** Adds `KEY=VALUE` to those that came before it. Throws `USAGE`, also when the key is there already. */
export function addKeyValue(text: string, soFar: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const { key, value } = parseKeyValue(text);
  if (soFar.has(key)) throw new ImageUnpackerError('USAGE', `The key "${key}" is given twice`);
  return new Map(soFar).set(key, value);
}
