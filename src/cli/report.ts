import { inspect } from 'node:util';
import { cancelled, ImageUnpackerError } from '../image/error.js';
import { toJson } from './json.js';
import { showText } from './show.js';

/**
 * Whatever a command threw, as an error of ours. Once the program has been interrupted, work that was
 * aborted and tools that the same Ctrl-C ended count as that interruption; any other error stays what it is.
 */
export function errorOf(reason: unknown, signal: AbortSignal): ImageUnpackerError {
  // It says what can be done about the interruption.
  if (reason instanceof ImageUnpackerError && reason.code === 'CANCELLED') return reason;
  const error = ImageUnpackerError.from(
    reason,
    'Something unforeseen happened (--log-level debug says where)',
  );
  const stopped = error.code === 'CANCELLED' || (signal.aborted && error.code === 'TOOL_FAILED');
  return stopped ? withCause(cancelled(), reason) : error;
}

function withCause(error: ImageUnpackerError, cause: unknown): ImageUnpackerError {
  return new ImageUnpackerError(error.code, error.message, error.subject, cause);
}

/** An error for people: who says it, what it says, and a line for each thing that is wrong. */
export function showError(program: string, error: ImageUnpackerError): string {
  const details = error.subject.details ?? [];
  const lines = [`${program}: ${showText(error.message)}`, ...details.map(each => `  ${showText(each)}`)];
  return `${lines.join('\n')}\n`;
}

/** An error as the one document that `--json` promises. */
export function errorToJson(error: ImageUnpackerError): string {
  return `${toJson({ error: { code: error.code, message: error.message, ...error.subject } })}\n`;
}

/** Where an error comes from and what caused it, for those who look for the fault. */
export function showTrace(error: ImageUnpackerError): string {
  return `${inspect(error, { depth: 5, colors: false })}\n`;
}
