import { readFileSync } from 'node:fs';

/** A file whose bytes are what a format is, for ever. */
export function golden(name: string): Buffer {
  return readFileSync(new URL(`golden/${name}`, import.meta.url));
}
