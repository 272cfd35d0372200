import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { tuneV8 } from '../unpacker/tune-v8.js';

/*
 * How a program that is packed into one file is started: what V8 has made of it before is kept beside it, so that it
 * need not be compiled each time.
 *
 *   NAME.js      what is started: `loadProgram(import.meta.url)`
 *   NAME.cjs     the program
 *   NAME.cache   digest code
 *
 *   digest   SHA-256 of the program that the code was made from, 32 bytes: V8 itself compares lengths only
 *   code     as V8 serialises it; other versions of V8, and others of its flags, do not take it and compile
 */

const DIGEST_BYTES = 32;

/** A packed program, compiled, that has not run. */
export interface PackedProgram {
  path: string;
  script: Script;
  /** What a cache of its code has to begin with. */
  digest: Buffer;
}

/** Runs the program that is packed beside the module `url`. */
export function loadProgram(url: string): void {
  runPacked(compilePacked(fileURLToPath(url).replace(/\.js$/, '.cjs')));
}

/** Compiles a packed program, or takes its code from the cache if that is of this program and this V8. */
export function compilePacked(path: string): PackedProgram {
  // Its flags are part of what V8 knows code by.
  tuneV8();
  const source = readFileSync(path);
  const digest = createHash('sha256').update(source).digest();
  const cachedData = cachedCode(path.replace(/\.cjs$/, '.cache'), digest);
  const wrapped = `(function (exports, require, module, __filename) {${source.toString('utf8')}\n})`;
  const script = new Script(wrapped, {
    filename: path,
    ...(cachedData && { cachedData }),
  });
  return { path, script, digest };
}

/** Runs a packed program. */
export function runPacked({ path, script }: PackedProgram): void {
  const module = { exports: {} };
  const run = script.runInThisContext() as (...of: unknown[]) => void;
  run(module.exports, createRequire(path), module, path);
}

function cachedCode(path: string, digest: Buffer): Buffer | undefined {
  let cache: Buffer;
  try {
    cache = readFileSync(path);
  } catch {
    // Without it a program only starts later.
    return undefined;
  }
  return cache.subarray(0, DIGEST_BYTES).equals(digest) ? cache.subarray(DIGEST_BYTES) : undefined;
}
