import { Argument, CommanderError, Command as Parser, Option } from 'commander';
import { ImageUnpackerError } from '../image/error.js';
import type { Command } from './command.js';
import { LOG_LEVELS } from './log.js';
import type { LogLevel } from './log.js';
import { describeOption, flag, oneOf, optional, showArgument } from './option.js';
import type { ArgumentDefinition, OptionDefinition } from './option.js';

/** A program: some commands under one name. */
export interface ProgramDefinition {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  readonly commands: readonly Command[];
}

/** What every command of every program takes. */
export interface CommonOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly logLevel: LogLevel;
}

/** What a command line asks for: a text to read, or a command to run. */
export type Request =
  | { kind: 'text'; text: string }
  | {
      kind: 'run';
      command: Command;
      common: CommonOptions;
      options: Record<string, unknown>;
      args: Record<string, unknown>;
    };

type Environment = Readonly<Record<string, string | undefined>>;
type Values = Record<string, unknown>;

/** The options of every command. */
export const COMMON_OPTIONS = {
  json: flag('--json', 'print one JSON document and nothing else'),
  quiet: flag('--quiet', 'show no progress, and of the log only errors'),
  logLevel: optional(
    '--log-level <level>',
    `how much to log: ${LOG_LEVELS.join(', ')}; default: info`,
    oneOf(...LOG_LEVELS),
  ),
};

/** What help says of exit codes. */
export const EXIT_CODES_HELP = `
Exit codes: 0 done, 1 failed, 2 the call is wrong, 3 partly done, 130 interrupted.`;

/**
 * What `parameters` (without the name of the program) ask for. `width` is that of the help text. Throws
 * `USAGE` when they are wrong, naming the option or command that was probably meant, and `CONFIGURATION`
 * when a variable of the environment is.
 */
export function parseCommandLine(
  program: ProgramDefinition,
  parameters: readonly string[],
  environment: Environment,
  width: number,
): Request {
  requireText(parameters, program.name);
  let text = '';
  let chosen: { command: Command; given: Values; args: readonly unknown[] } | undefined;
  const parser = makeProgramParser(program, width, more => (text += more));
  for (const command of program.commands) {
    const child = makeCommandParser(parser, program, command);
    child.action((...rest: unknown[]) => {
      chosen = { command, given: child.opts(), args: rest };
    });
  }
  try {
    parser.parse(parameters, { from: 'user' });
  } catch (error) {
    requireKnownCommand(parser, program);
    if (error instanceof CommanderError && error.exitCode === 0) return { kind: 'text', text };
    throw error;
  }
  if (chosen === undefined) throw usage('No command is given', program.name);
  const { command, given, args } = chosen;
  return {
    kind: 'run',
    command,
    common: commonOptions(parser.opts(), environment),
    options: valuesOf(command.options ?? {}, given, environment),
    args: argumentsOf(command.arguments ?? {}, args),
  };
}

/** Whether errors are to be printed as JSON: asked for before the command line is known to be right. */
export function asksForJson(parameters: readonly string[]): boolean {
  const end = parameters.indexOf('--');
  return parameters.slice(0, end < 0 ? undefined : end).includes('--json');
}

function makeProgramParser(program: ProgramDefinition, width: number, write: (text: string) => void): Parser {
  const parser = new Parser(program.name)
    .description(program.description)
    .version(program.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: write, writeErr: () => undefined, getOutHelpWidth: () => width })
    .addHelpText('afterAll', EXIT_CODES_HELP)
    .exitOverride(error => {
      throw toUsage(error, program.name, program);
    });
  for (const option of Object.values(COMMON_OPTIONS)) parser.addOption(makeOption(option));
  return parser;
}

function makeCommandParser(parser: Parser, program: ProgramDefinition, command: Command): Parser {
  const child = parser
    .command(command.name, { hidden: command.hidden === true })
    .summary(command.summary)
    .description([command.summary, ...paragraphsOf(command)].join('\n\n'))
    .exitOverride(error => {
      throw toUsage(error, `${program.name} ${command.name}`, program);
    });
  for (const [name, argument] of Object.entries(command.arguments ?? {})) {
    child.addArgument(makeArgument(name, argument));
  }
  for (const option of Object.values(command.options ?? {})) child.addOption(makeOption(option));
  return child;
}

/** The paragraphs of what is said of a command, a line each: whoever shows them breaks them. */
export function paragraphsOf({ details = '' }: Pick<Command, 'details'>): string[] {
  return details === '' ? [] : details.split(/\n{2,}/).map(each => each.replaceAll('\n', ' '));
}

/** Throws `USAGE` where help was asked for with a command that there is not: commander would show the program's. */
function requireKnownCommand(parser: Parser, program: ProgramDefinition): void {
  const [first, second] = parser.args;
  const name = first === 'help' ? second : first;
  if (name === undefined || name.startsWith('-')) return;
  if (name !== 'help' && program.commands.every(command => command.name !== name)) {
    parser.parse([name], { from: 'user' });
  }
}

function makeArgument(name: string, argument: ArgumentDefinition<unknown>): Argument {
  return new Argument(showArgument(name, argument), argument.description);
}

/** Values are collected as they stand and looked at afterwards: a wrong one must not hide a wrong flag. */
function makeOption(option: OptionDefinition<unknown>): Option {
  const made = new Option(option.flags, describeOption(option));
  if (option.add !== undefined)
    made.argParser((text: string, soFar: string[] | undefined) => [...(soFar ?? []), text]);
  return made;
}

function valuesOf(
  definitions: Readonly<Record<string, OptionDefinition<unknown>>>,
  given: Values,
  environment: Environment,
): Values {
  const values: Values = {};
  for (const [name, option] of Object.entries(definitions)) {
    values[name] = valueOf(option, given[new Option(option.flags).attributeName()], environment);
  }
  return values;
}

function valueOf(option: OptionDefinition<unknown>, given: unknown, environment: Environment): unknown {
  const { add, initial, flags, environment: variable } = option;
  if (add === undefined) return given ?? initial;
  if (given !== undefined) return valueGiven(option, given as string[]);
  const text = variable === undefined ? undefined : environment[variable];
  if (text !== undefined && text !== '') {
    return withPrefix(`Environment variable ${String(variable)}`, 'CONFIGURATION', () => add(text, initial));
  }
  if (option.required) throw new ImageUnpackerError('USAGE', `Option '${flags}' must be given`);
  return initial;
}

function valueGiven(option: OptionDefinition<unknown>, texts: readonly string[]): unknown {
  return texts.reduce((soFar, text) => {
    checkIsValue(option, text);
    return withPrefix(`Option '${option.flags}'`, 'USAGE', () => option.add!(text, soFar));
  }, option.initial);
}

/** Where a value was forgotten, the next flag would quietly be taken for it. */
function checkIsValue(option: OptionDefinition<unknown>, text: string): void {
  if (!text.startsWith('--')) return;
  throw new ImageUnpackerError(
    'USAGE',
    `Option '${option.flags}' needs a value and is followed by '${text}'`,
  );
}

function argumentsOf(
  definitions: Readonly<Record<string, ArgumentDefinition<unknown>>>,
  given: readonly unknown[],
): Values {
  const values: Values = {};
  for (const [at, [name, definition]] of Object.entries(definitions).entries()) {
    const text = given[at] as string | string[] | undefined;
    values[name] = withPrefix(`Argument '${name}'`, 'USAGE', () => {
      if (text === undefined) return undefined;
      return Array.isArray(text) ? text.map(definition.parse) : definition.parse(text);
    });
  }
  return values;
}

function commonOptions(given: Values, environment: Environment): CommonOptions {
  const { json, quiet, logLevel } = COMMON_OPTIONS;
  const level = valueOf({ ...logLevel, environment: 'LOG_LEVEL' }, given['logLevel'], environment);
  return {
    json: valueOf(json, given['json'], environment) as boolean,
    quiet: valueOf(quiet, given['quiet'], environment) as boolean,
    logLevel: (level as LogLevel | undefined) ?? (given['quiet'] === true ? 'error' : 'info'),
  };
}

/** Says what a wrong value was the value of. An error that is no matter of usage is passed on. */
function withPrefix<T>(prefix: string, code: 'USAGE' | 'CONFIGURATION', action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof ImageUnpackerError) || error.code !== 'USAGE') throw error;
    throw new ImageUnpackerError(code, `${prefix}: ${error.message}`, error.subject, error);
  }
}

/** What commander ends with: the end of a help text as it is, anything else as an error of ours. */
function toUsage(error: CommanderError, name: string, program: ProgramDefinition): Error {
  if (error.exitCode === 0) return error;
  const shown = program.commands.filter(command => command.hidden !== true);
  const commands = shown.map(command => command.name).join(', ');
  if (error.code === 'commander.help')
    return usage(`No command is given; the commands are ${commands}`, name);
  const what = error.message
    .replace(/^error: /, '')
    .replace(/\.$/, '')
    .replace(/\n\((.*)\)$/, ' ($1)');
  const suggests = what.includes('(Did you mean');
  const also = error.code === 'commander.unknownCommand' && !suggests ? `; the commands are ${commands}` : '';
  return usage(what.charAt(0).toUpperCase() + what.slice(1) + also, name);
}

/** Bytes that are no UTF-8 have been replaced before a program sees them: what was named is not known. */
function requireText(parameters: readonly string[], name: string): void {
  const broken = parameters.find(parameter => parameter.includes('\ufffd'));
  if (broken === undefined) return;
  throw usage(`The parameter "${broken}" is not UTF-8; name it by a path or text that is`, name);
}

function usage(what: string, name: string): ImageUnpackerError {
  return new ImageUnpackerError('USAGE', `${what}; see '${name} --help'`);
}
