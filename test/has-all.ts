import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/*
 * What tests need of the machine. Where it is missing they are skipped, which is said; where all of them are to be run
 * (`npm test -- --require-…`) that is a failure. What runs outside of AVA, as `npm run fuzz` does, asks for it too.
 */

const { unpackagedPrograms } = (await import(
  new URL('../scripts/system-packages.mjs', import.meta.url).href
)) as { unpackagedPrograms(this: void): readonly string[] };

export interface Needs {
  /** Programs on the PATH. */
  programs?: readonly string[];
  /** Why something else is missing; undefined where nothing is. */
  fault?: string | undefined;
  /** How the programs are had, where `npm test` does not install them. */
  hint?: string;
  /** What `npm test` sets where it is a failure that something is missing. */
  required?: 'REQUIRE_ROOT' | 'REQUIRE_BOOT' | 'REQUIRE_MOTO';
}

/** Whether a program is on the PATH. */
export function isThere(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some(directory => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Whether all is there that `what` needs. Says so where it is not, and throws where it must be; `excused` are the programs
 * that may be missing all the same, as the distribution has no package of them.
 */
export function hasAll(what: string, needs: Needs, excused = unpackagedPrograms()): boolean {
  const missing = (needs.programs ?? []).filter(program => !isThere(program));
  const [first] = missing;
  if (first === undefined && needs.fault === undefined) return true;
  const hint = needs.hint === undefined ? '' : `; ${needs.hint}`;
  const fault =
    first === undefined ? needs.fault! : `${missing.join(' and ')} cannot be found on the PATH${hint}`;
  const isExcused = needs.fault === undefined && missing.every(program => excused.includes(program));
  if (process.env[needs.required ?? 'REQUIRE_ROOT'] !== undefined && !isExcused)
    throw new Error(`${what} cannot be tried here: ${fault}`);
  console.log(`SKIPPED: ${what}: ${fault}`);
  return false;
}
