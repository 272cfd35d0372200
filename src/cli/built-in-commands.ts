import type { Command } from './command.js';
import { command } from './command.js';
import { SHELLS } from './completion.js';
import { argument, oneOf } from './option.js';
import type { ProgramDefinition } from './parse.js';

/** What every program can say of itself, besides its help. */
export function builtInCommands(program: ProgramDefinition): Command[] {
  return [
    command({
      name: 'completion',
      summary: 'Print a script with which a shell completes command lines',
      details: `bash: source <(${program.name} completion bash)

zsh: source <(${program.name} completion zsh), after compinit

fish: ${program.name} completion fish | source`,
      arguments: { shell: argument(`the shell: ${SHELLS.join(', ')}`, oneOf(...SHELLS)) },
      run: async ({ args }) => {
        const { completionScript } = await import('./completion.js');
        return { script: completionScript(withBuiltIns(program), args.shell) };
      },
      show: ({ script }) => script.trimEnd(),
    }),
    command({
      name: 'manual',
      summary: 'Print the manual page, for man',
      hidden: true,
      run: async () => {
        const { manualPage } = await import('./manual.js');
        return { page: manualPage(withBuiltIns(program)) };
      },
      show: ({ page }) => page.trimEnd(),
    }),
  ];
}

/** A program with the commands that all programs have. */
export function withBuiltIns(program: ProgramDefinition): ProgramDefinition {
  return { ...program, commands: [...program.commands, ...builtInCommands(program)] };
}
