import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { ImageUnpackerError } from '../image/error.js';
import { silentProgress } from '../image/progress.js';
import { withBuiltIns } from './built-in-commands.js';
import type { CommandContext } from './command.js';
import { EXIT_CODES, exitCodeOf } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { abortWhenInterrupted } from './interrupt.js';
import type { ProcessEvents } from './interrupt.js';
import { jsonPieces } from './json.js';
import { isTraced, logLines, logToTerminal } from './log.js';
import { columnsOf, writeAll, writePieces } from './output.js';
import type { Output } from './output.js';
import { asksForJson, parseCommandLine } from './parse.js';
import type { CommonOptions, ProgramDefinition, Request } from './parse.js';
import type { ProgressDisplay } from './progress.js';
import { Progress } from './progress.js';
import { errorOf, errorToJson, showError, showTrace } from './report.js';
import { linePieces } from './show.js';
import { StatusLine } from './status-line.js';

/** What a program has of the process that it runs in. */
export interface Surroundings {
  /** The command line, without the name of the program. */
  readonly parameters: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly out: Output;
  readonly err: Output;
  readonly events: ProcessEvents;
}

/** Runs a program in this process, and ends the process with its exit code. */
export async function main(program: Omit<ProgramDefinition, 'version'>): Promise<never> {
  // The AWS SDK would warn of Node 20, which this version of it supports, in the middle of what is logged.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  // Who writes is told of a write that failed (see `writeAll`); the event besides would end the process.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const code = await runProgram(withBuiltIns({ ...program, version: readVersion() }), {
    parameters: process.argv.slice(2),
    environment: process.env,
    out: process.stdout,
    err: process.stderr,
    events: process,
  });
  // What a command has read from, such as standard input, may still be open and would keep the process.
  process.exit(code);
}

/** The version of this package. */
export function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/**
 * Runs a program: the result goes to standard output, all else to standard error, and what is returned is
 * the exit code. Throws nothing.
 */
export async function runProgram(program: ProgramDefinition, around: Surroundings): Promise<ExitCode> {
  const terminal = new StatusLine(around.err);
  const signal = abortWhenInterrupted(around.events, note => {
    terminal.print(`${program.name}: ${note}`);
  });
  let common: CommonOptions | undefined;
  try {
    const request = parseCommandLine(program, around.parameters, around.environment, columnsOf(around.out));
    if (request.kind === 'run') {
      common = request.common;
      return await runCommand(request, around, terminal, signal);
    }
    await writeAll(around.out, request.text);
    return EXIT_CODES.done;
  } catch (reason) {
    const error = errorOf(reason, signal);
    await report(program, around, error, common);
    return exitCodeOf(error.code);
  }
}

async function runCommand(
  request: Request & { kind: 'run' },
  around: Surroundings,
  terminal: StatusLine,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { command, common, options, args } = request;
  const { json } = common;
  const display = makeDisplay(common, around, terminal);
  const progress = display && new Progress(display);
  let log: Logger | undefined;
  const context: CommandContext = {
    options,
    args,
    signal,
    json,
    progress: progress ?? silentProgress,
    display,
    get log() {
      return (log ??= makeLog(common, around, terminal));
    },
  };
  let result: unknown;
  try {
    result = await Promise.race([command.run(context), uncaught(around.events)]);
  } finally {
    progress?.stop();
  }
  const pieces = json ? jsonPieces(result) : linePieces(command.show(result, options));
  await writePieces(around.out, pieces);
  return command.exitCode?.(result) ?? EXIT_CODES.done;
}

function makeDisplay(
  common: CommonOptions,
  around: Surroundings,
  terminal: StatusLine,
): ProgressDisplay | undefined {
  if (common.json || common.quiet) return undefined;
  if (isTerminal(around)) return { kind: 'terminal', line: terminal };
  return {
    kind: 'lines',
    print: line => {
      terminal.print(line);
    },
  };
}

function makeLog({ logLevel }: CommonOptions, around: Surroundings, terminal: StatusLine): Logger {
  return around.err.isTTY === true ? logToTerminal(logLevel, terminal) : logLines(logLevel, around.err);
}

/** Whether standard error is a terminal whose last line can be written anew. */
function isTerminal({ err, environment }: Surroundings): boolean {
  return err.isTTY === true && environment['TERM'] !== 'dumb';
}

/** Rejects with an error that no part of the command caught, which would end the process unreported. */
function uncaught(events: ProcessEvents): Promise<never> {
  return new Promise((_, reject) => events.on('uncaughtException', reject));
}

/** Tells people or programs what went wrong. Where the way to tell it is broken, nobody is left to tell. */
async function report(
  program: ProgramDefinition,
  { parameters, out, err }: Surroundings,
  error: ImageUnpackerError,
  common: CommonOptions | undefined,
): Promise<void> {
  const ignore = (): undefined => undefined;
  if (common !== undefined && isTraced(common.logLevel)) {
    await writeAll(err, showTrace(error)).catch(ignore);
  }
  const told =
    asksForJson(parameters) &&
    (await writeAll(out, errorToJson(error)).then(
      () => true,
      () => false,
    ));
  if (!told) await writeAll(err, showError(program.name, error)).catch(ignore);
}
