import { ImageUnpackerError } from '../image/error.js';
import { addKeyValue } from './key-value.js';

/** Makes a value of the text that stands on the command line. Throws `USAGE`, saying what would be right. */
export type Parser<T> = (text: string) => T;

/** An option of a command. `T` is the type of its value in the command's context. */
export interface OptionDefinition<T> {
  /** As commander writes them: `--store <store>`, `-f, --force`. */
  readonly flags: string;
  readonly description: string;
  /** The value when the option is not given. */
  readonly initial: T;
  /** Takes in one value that is given. Absent from an option that has none. */
  add?(this: void, text: string, soFar: T): T;
  readonly required?: true;
  /** The environment variable that stands in for an option that is not given. */
  readonly environment?: string;
}

const asText: Parser<unknown> = text => text;

/** An option that is there or not: `--force`. */
export function flag(flags: string, description: string): OptionDefinition<boolean> {
  return { flags, description, initial: false };
}

/** An option that may be left out. */
export function optional(flags: string, description: string): OptionDefinition<string | undefined>;
export function optional<T>(
  flags: string,
  description: string,
  parse: Parser<T>,
): OptionDefinition<T | undefined>;
export function optional(flags: string, description: string, parse = asText): OptionDefinition<unknown> {
  return { flags, description, initial: undefined, add: parse };
}

/** An option that must be given. */
export function required(flags: string, description: string): OptionDefinition<string>;
export function required<T>(flags: string, description: string, parse: Parser<T>): OptionDefinition<T>;
export function required(flags: string, description: string, parse = asText): OptionDefinition<unknown> {
  return { flags, description, initial: undefined, add: parse, required: true };
}

/** An option that has the value `initial` when it is left out. */
export function withDefault(flags: string, description: string, initial: string): OptionDefinition<string>;
export function withDefault<T>(
  flags: string,
  description: string,
  initial: T,
  parse: Parser<T>,
): OptionDefinition<T>;
export function withDefault(
  flags: string,
  description: string,
  initial: unknown,
  parse = asText,
): OptionDefinition<unknown> {
  return { flags, description, initial, add: parse };
}

/** An option that may be given more than once. Its value is all of its values, in order. */
export function repeated(flags: string, description: string): OptionDefinition<readonly string[]>;
export function repeated<T>(
  flags: string,
  description: string,
  parse: Parser<T>,
): OptionDefinition<readonly T[]>;
export function repeated(
  flags: string,
  description: string,
  parse = asText,
): OptionDefinition<readonly unknown[]> {
  return { flags, description, initial: [], add: (text, soFar) => [...soFar, parse(text)] };
}

/** An option `KEY=VALUE` that may be given more than once, with another key each time. */
export function keyValues(flags: string, description: string): OptionDefinition<ReadonlyMap<string, string>> {
  return { flags, description, initial: new Map(), add: addKeyValue };
}

/** The same option, which an environment variable stands in for when it is not given. */
export function fromEnvironment<T>(environment: string, option: OptionDefinition<T>): OptionDefinition<T> {
  return { ...option, environment };
}

/** A parser that takes one of `choices` and nothing else. */
export function oneOf<const T extends string>(...choices: readonly T[]): Parser<T> {
  return text => {
    const choice = choices.find(each => each === text);
    if (choice !== undefined) return choice;
    throw new ImageUnpackerError('USAGE', `"${text}" is none of ${choices.join(', ')}`);
  };
}

/** What help says of an option. */
export function describeOption(option: OptionDefinition<unknown>): string {
  const notes = [option.description];
  if (option.required) notes.push('required');
  if (typeof option.initial === 'string') notes.push(`default: ${option.initial}`);
  if (option.environment !== undefined) notes.push(`environment: ${option.environment}`);
  return notes.join('; ');
}

/** An argument of a command: what stands without a flag. `T` is the type of its value. */
export interface ArgumentDefinition<T> {
  readonly description: string;
  readonly count: 'one' | 'optional' | 'many';
  readonly parse: Parser<unknown>;
  /** Never there; it carries the type. */
  readonly value?: T;
}

/** An argument that must be given. */
export function argument(description: string): ArgumentDefinition<string>;
export function argument<T>(description: string, parse: Parser<T>): ArgumentDefinition<T>;
export function argument(description: string, parse = asText): ArgumentDefinition<unknown> {
  return { description, count: 'one', parse };
}

/** An argument that may be left out. */
export function optionalArgument(description: string): ArgumentDefinition<string | undefined>;
export function optionalArgument<T>(description: string, parse: Parser<T>): ArgumentDefinition<T | undefined>;
export function optionalArgument(description: string, parse = asText): ArgumentDefinition<unknown> {
  return { description, count: 'optional', parse };
}

/** The last argument of a command that takes one or more of it. */
export function manyArguments(description: string): ArgumentDefinition<readonly string[]>;
export function manyArguments<T>(description: string, parse: Parser<T>): ArgumentDefinition<readonly T[]>;
export function manyArguments(description: string, parse = asText): ArgumentDefinition<readonly unknown[]> {
  return { description, count: 'many', parse };
}

/** An argument as usage shows it: `<name>`, `[name]`, `<name...>`. */
export function showArgument(name: string, { count }: ArgumentDefinition<unknown>): string {
  const shown = name.replace(/[A-Z]/g, capital => `-${capital.toLowerCase()}`);
  return { one: `<${shown}>`, optional: `[${shown}]`, many: `<${shown}...>` }[count];
}
