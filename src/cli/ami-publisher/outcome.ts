import type { TargetRow } from '../../publisher/row.js';
import type { ExitCode } from '../exit-code.js';
import { EXIT_CODES } from '../exit-code.js';
import { showText } from '../show.js';

/** What a program exits with that did something in several targets: all, some or none of which failed. */
export function exitCodeOfRows(rows: readonly Pick<TargetRow, 'Error'>[]): ExitCode {
  const failed = rows.filter(({ Error }) => Error !== undefined).length;
  if (failed === 0) return EXIT_CODES.done;
  return failed === rows.length ? EXIT_CODES.failed : EXIT_CODES.partlyDone;
}

/** A line for each row that failed. */
export function showErrors(rows: readonly TargetRow[]): string[] {
  return rows.flatMap(({ Target, Error }) =>
    Error === undefined ? [] : [`${showText(Target)}: ${showText(Error)}`],
  );
}

/** Lines, with nothing between those that are empty. */
export function joinLines(...parts: readonly (string | readonly string[])[]): string {
  return parts
    .flat()
    .filter(line => line !== '')
    .join('\n');
}
