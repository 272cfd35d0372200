import type { Command } from './command.js';
import { describeOption, showArgument } from './option.js';
import type { OptionDefinition } from './option.js';
import type { ProgramDefinition } from './parse.js';
import { COMMON_OPTIONS, EXIT_CODES_HELP, paragraphsOf } from './parse.js';

/** The manual page of a program (man(7)), made of what its help is made of. */
export function manualPage({ name, description, version, commands }: ProgramDefinition): string {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  return [
    `.TH ${name.toUpperCase().replaceAll('-', '\\-')} 1 "" "image\\-unpacker ${escape(version)}"`,
    '.SH NAME',
    `${escape(name)} \\- ${escape(description)}`,
    '.SH SYNOPSIS',
    `.B ${escape(name)}`,
    '.I command',
    '[options] [arguments]',
    '.SH COMMANDS',
    ...shown.flatMap(command => describeCommand(name, command)),
    '.SH OPTIONS OF ALL COMMANDS',
    ...describeOptions(COMMON_OPTIONS),
    '.SH EXIT STATUS',
    escape(EXIT_CODES_HELP.trim()),
    '',
  ].join('\n');
}

function describeCommand(program: string, command: Command): string[] {
  const given = Object.entries(command.arguments ?? {});
  const usage = [command.name, '[options]', ...given.map(([name, each]) => showArgument(name, each))];
  return [
    `.SS ${escape(command.name)}`,
    `${escape(command.summary)}.`,
    '.PP',
    `.B ${escape(`${program} ${usage.join(' ')}`)}`,
    ...paragraphsOf(command).flatMap(each => ['.PP', escape(each)]),
    ...given.flatMap(([name, each]) => item(showArgument(name, each), each.description)),
    ...describeOptions(command.options ?? {}),
  ];
}

function describeOptions(options: Readonly<Record<string, OptionDefinition<unknown>>>): string[] {
  return Object.values(options).flatMap(option => item(option.flags, describeOption(option)));
}

function item(term: string, text: string): string[] {
  return ['.TP', `.B ${escape(term)}`, escape(text)];
}

/** Text that roff takes as it stands: nothing in it is a request or an escape. */
function escape(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}
