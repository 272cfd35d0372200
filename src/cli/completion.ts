import type { Command } from './command.js';
import type { OptionDefinition } from './option.js';
import type { ProgramDefinition } from './parse.js';
import { COMMON_OPTIONS } from './parse.js';

/** The shells that can complete the command lines of our programs. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

type Program = Pick<ProgramDefinition, 'name' | 'commands'>;

/** A script that a shell reads to complete command lines of a program: commands, options, and files as values. */
export function completionScript(program: Program, shell: Shell): string {
  const commands = program.commands.filter(({ hidden }) => hidden !== true);
  const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };
  return scripts[shell](program.name, commands);
}

interface Flag {
  /** `--store`. */
  readonly name: string;
  readonly description: string;
  /** What its value is called, if it has one. */
  readonly value: string | undefined;
}

function flagsOf(options: Readonly<Record<string, OptionDefinition<unknown>>>): Flag[] {
  return Object.values(options).map(({ flags, description }) => {
    const [, name = flags, value] = /(--[a-z-]+)(?: <([^>]+)>)?$/.exec(flags) ?? [];
    return { name, value, description };
  });
}

const COMMON: readonly Flag[] = [
  ...flagsOf(COMMON_OPTIONS),
  { name: '--help', description: 'print this help', value: undefined },
];

function flagsOfCommand(command: Command): Flag[] {
  return [...flagsOf(command.options ?? {}), ...COMMON];
}

function functionName(program: string): string {
  return `_${program.replaceAll('-', '_')}`;
}

function bashScript(program: string, commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name);
  const words = (flags: readonly Flag[]): string => flags.map(({ name }) => name).join(' ');
  const cases = commands.map(command => `    ${command.name}) words='${words(flagsOfCommand(command))}' ;;`);
  return `${functionName(program)}() {
  local word=\${COMP_WORDS[COMP_CWORD]} command= words at
  for ((at = 1; at < COMP_CWORD; at++)); do
    case \${COMP_WORDS[at]} in
      ${names.join(' | ')}) command=\${COMP_WORDS[at]} && break ;;
    esac
  done
  case $command in
${cases.join('\n')}
    *) words='${names.join(' ')} ${words(COMMON)}' ;;
  esac
  COMPREPLY=()
  # What is no option of a command is the name of a file, which the shell completes.
  if [[ -z $command || $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -o default -F ${functionName(program)} ${program}
`;
}

function zshScript(program: string, commands: readonly Command[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const plain = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&');
  const spec = ({ name, description, value }: Flag): string =>
    quote(`${name}[${plain(description)}]${value === undefined ? '' : `:${plain(value)}:_files`}`);
  const list = commands.map(({ name, summary }) => `    ${quote(`${name}:${plain(summary)}`)}`);
  const cases = commands.map(command => {
    const specs = [...flagsOfCommand(command).map(spec), "'*:file:_files'"];
    return `        ${command.name}) _arguments ${specs.join(' ')} ;;`;
  });
  return `#compdef ${program}
${functionName(program)}() {
  local context state line
  local -a commands=(
${list.join('\n')}
  )
  _arguments -C ${COMMON.map(spec).join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}
compdef ${functionName(program)} ${program}
`;
}

function fishScript(program: string, commands: readonly Command[]): string {
  const quote = (text: string): string => `'${text.replace(/['\\]/g, '\\$&')}'`;
  const complete = (condition: string, rest: string): string =>
    `complete -c ${program} -n '${condition}' ${rest}`;
  const option = (condition: string, { name, description, value }: Flag): string =>
    complete(condition, `-l ${name.slice(2)}${value === undefined ? '' : ' -r'} -d ${quote(description)}`);
  const first = commands.map(({ name, summary }) =>
    complete('__fish_use_subcommand', `-f -a ${name} -d ${quote(summary)}`),
  );
  const rest = commands.flatMap(command =>
    flagsOf(command.options ?? {}).map(each => option(`__fish_seen_subcommand_from ${command.name}`, each)),
  );
  const common = COMMON.map(each => option('true', each));
  return `${[...first, ...rest, ...common].join('\n')}\n`;
}
