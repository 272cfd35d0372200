import { createRequire } from 'node:module';
import type { DestinationStream, Logger, pino as Pino } from 'pino';
import type { Output } from './output.js';
import { showText } from './show.js';
import type { StatusLine } from './status-line.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const require = createRequire(import.meta.url);

/** A log of pino's JSON lines to `output`. */
export function logLines(level: LogLevel, output: Output): Logger {
  return makeLog(level, { write: line => void output.write(line, () => undefined) });
}

/** A log of short readable lines, for the people at a terminal. */
export function logToTerminal(level: LogLevel, terminal: StatusLine): Logger {
  return makeLog(level, {
    write: line => {
      terminal.print(readable(line));
    },
  });
}

function makeLog(level: LogLevel, destination: DestinationStream): Logger {
  // Loaded when something is first logged, and at once, as an import could not be.
  const { pino } = require('pino') as { pino: typeof Pino };
  const formatters = { level: (label: string) => ({ level: label }) };
  const serializers = { err: isTraced(level) ? pino.stdSerializers.err : withoutStack };
  return pino({ level, formatters, serializers, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

/** Whether a log of that level has stack traces. */
export function isTraced(level: LogLevel): boolean {
  return level === 'debug' || level === 'trace';
}

/** What is logged of an error to those who did not ask for where in the program it was thrown. */
function withoutStack(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, code } = error as NodeJS.ErrnoException;
  return { type: name, message, ...(code !== undefined && { code }) };
}

/** What pino adds to every line and is of no use to those who watch. */
const OMITTED = new Set(['level', 'time', 'pid', 'hostname', 'msg']);

function readable(line: string): string {
  const record = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(record)
    .filter(([name]) => !OMITTED.has(name))
    .map(([name, value]) => ` ${name}=${showField(value)}`);
  return showText(`${showField(record['level'])}: ${showField(record['msg'] ?? '')}${fields.join('')}`);
}

function showField(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
