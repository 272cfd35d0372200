import type { ErrorCode } from '../../src/image/error.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import type { Random } from './random.js';

/** A reader of untrusted bytes that is tried with damaged ones. */
export interface Target {
  readonly name: string;
  /** Makes ready what all cases share; `directory` is for files. */
  prepare(directory: string): Promise<Cases>;
}

/** The cases of a target. */
export interface Cases {
  /**
   * Makes one case and tries it. Resolves to whether it was accepted; rejects when the reader does what it must not:
   * throws an error that is none of its own, or accepts what contradicts itself.
   */
  attempt(random: Random): Promise<boolean>;
}

/** Whether `work` accepts what it is given. An error with another code than these is a finding. */
export async function accepts(codes: readonly ErrorCode[], work: () => unknown): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && codes.includes(reason.code)) return false;
    throw reason;
  }
}

/** Throws unless what was accepted is as it must be. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`accepted, but ${what}`);
}
