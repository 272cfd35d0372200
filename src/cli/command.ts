import type { Logger } from 'pino';
import type { ProgressSink } from '../image/progress.js';
import type { ExitCode } from './exit-code.js';
import type { ArgumentDefinition, OptionDefinition } from './option.js';
import type { ProgressDisplay } from './progress.js';

type OptionDefinitions = Readonly<Record<string, OptionDefinition<unknown>>>;
type ArgumentDefinitions = Readonly<Record<string, ArgumentDefinition<unknown>>>;

/** The values of options, by the names that the command gave them. */
export type OptionValues<O> = { [K in keyof O]: O[K] extends OptionDefinition<infer T> ? T : never };
/** The values of arguments, by the names that the command gave them. */
export type ArgumentValues<A> = { [K in keyof A]: A[K] extends ArgumentDefinition<infer T> ? T : never };

/** What a command runs with. */
export interface Context<O, A> {
  readonly options: OptionValues<O>;
  readonly args: ArgumentValues<A>;
  /** Aborted when the program is interrupted. */
  readonly signal: AbortSignal;
  /** To standard error. Costs nothing until it is first asked for. */
  readonly log: Logger;
  readonly progress: ProgressSink;
  /** Where a command shows its progress that is not simply a step: undefined when none is to be shown. */
  readonly display: ProgressDisplay | undefined;
  /** Whether the result is printed as JSON. */
  readonly json: boolean;
}

/** A command of a program. `R` is its result. */
export interface CommandDefinition<O, A, R> {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** More about it, for its own help: paragraphs between empty lines, in which the ends of lines mean nothing. */
  readonly details?: string;
  /** Positional arguments, in order; a name is shown in capitals as part of the usage. */
  readonly arguments?: A;
  readonly options?: O;
  /** Left out of the list of commands. */
  readonly hidden?: true;
  /**
   * Does the work. The code of the work is loaded here, by a dynamic import, so that `--help` and a
   * mistyped flag do not wait for it. Throws `ImageUnpackerError`; prints nothing.
   */
  run(context: Context<O, A>): Promise<R>;
  /**
   * The result for people, or its lines if there may be very many. Nothing is printed when it is empty. With `--json`
   * the result itself is printed.
   */
  show(result: R, options: OptionValues<O>): string | Iterable<string>;
  /** What the program exits with when the result is not simply "done". */
  exitCode?(result: R): ExitCode;
}

/** Any command, its types forgotten: what a program is made of. */
export type Command = CommandDefinition<OptionDefinitions, ArgumentDefinitions, unknown>;
/** What any command runs with. */
export type CommandContext = Context<OptionDefinitions, ArgumentDefinitions>;

/** Defines a command: its context is typed by its options and arguments. */
export function command<
  O extends OptionDefinitions = Record<string, never>,
  A extends ArgumentDefinitions = Record<string, never>,
  R = unknown,
>(definition: CommandDefinition<O, A, R>): Command {
  return definition;
}
