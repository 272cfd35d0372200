import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { temporaryDirectory } from '../../temporary-directory.js';

/** A place for a store, and a source: a/one, a/two (the same file), b. */
export function prepare(t: ExecutionContext): { directory: string; store: string; source: string } {
  const directory = temporaryDirectory(t);
  const source = join(directory, 'source');
  mkdirSync(join(source, 'a'), { recursive: true });
  writeFileSync(join(source, 'a/one'), 'one');
  linkSync(join(source, 'a/one'), join(source, 'a/two'));
  writeFileSync(join(source, 'b'), 'three');
  return { directory, store: join(directory, 'store'), source };
}
