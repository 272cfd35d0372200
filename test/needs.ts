import test from 'ava';
import type { TestFn } from 'ava';
import type { Needs } from './has-all.js';
import { hasAll } from './has-all.js';

/** What declares a test of `what`: `test` where all is there that it needs, else what skips it (see `hasAll`). */
export function needs(what: string, all: Needs): TestFn['skip'] {
  return hasAll(what, all) ? test : test.skip;
}
