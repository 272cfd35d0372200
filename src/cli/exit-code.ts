import type { ErrorCode } from '../image/error.js';

/** What a program's exit code says. */
export const EXIT_CODES = {
  done: 0,
  failed: 1,
  /** The call is wrong: usage, configuration, image name. */
  wrongCall: 2,
  /** Some targets failed, some did not. */
  partlyDone: 3,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

const EXCEPTIONS: Partial<Record<ErrorCode, ExitCode>> = {
  USAGE: EXIT_CODES.wrongCall,
  CONFIGURATION: EXIT_CODES.wrongCall,
  IMAGE_NAME: EXIT_CODES.wrongCall,
  CANCELLED: EXIT_CODES.interrupted,
};

/** The exit code of a program that ends with the error `code`. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  return EXCEPTIONS[code] ?? EXIT_CODES.failed;
}
