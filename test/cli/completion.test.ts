import { spawnSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { withBuiltIns } from '../../src/cli/built-in-commands.js';
import type { Shell } from '../../src/cli/completion.js';
import { completionScript, SHELLS } from '../../src/cli/completion.js';
import { manualPage } from '../../src/cli/manual.js';
import { runProgram } from '../../src/cli/program.js';
import { needs } from '../needs.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { commands } from './fixture/commands.js';
import { Recorder } from './run.js';

const program = { name: 'my-fixture', description: 'A program for tests.', version: '1.2.3', commands };

/** How each shell is asked for what completes a command line. */
const ASK: Record<Shell, (script: string, words: string[]) => string[]> = {
  bash: (script, words) => [
    '-c',
    `source ${script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _my_fixture; printf '%s\\n' "\${COMPREPLY[@]}"`,
    'bash',
    ...words,
  ],
  zsh: script => ['-n', script],
  fish: (script, words) => ['-c', `source ${script}; complete -C '${words.join(' ')}'`],
};

for (const shell of SHELLS) {
  needs(`completion by ${shell}`, { programs: [shell] })(`${shell} completes commands and options`, t => {
    const script = join(temporaryDirectory(t), 'script');
    writeFileSync(script, completionScript(program, shell));
    const ask = (...words: string[]) => spawnSync(shell, ASK[shell](script, words), { encoding: 'utf8' });
    const [first, second] = [ask('my-fixture', 'ec'), ask('my-fixture', 'echo', '--st')];
    t.is(first.status, 0, first.stderr);
    t.is(first.stderr, '');
    if (shell === 'zsh') return;
    t.regex(first.stdout, /^echo\b/m);
    t.regex(second.stdout, /^--store\b/m);
    t.notRegex(second.stdout, /--layout/);
  });
}

needs('manual pages', { programs: ['groff'] })('the manual page is one that groff has nothing against', t => {
  const page = manualPage({
    ...program,
    commands: [
      ...commands,
      {
        name: 'odd',
        summary: ".odd 'line",
        details: '.TH x\n\\fBold',
        run: () => Promise.resolve(''),
        show: () => '',
      },
    ],
  });
  const { stdout, stderr, status } = spawnSync('groff', ['-ww', '-man', '-Tascii', '-P-cbou'], {
    input: page,
    encoding: 'utf8',
  });
  t.is(stderr, '');
  t.is(status, 0);
  for (const text of [
    '--expires-in <duration>',
    'give back what was given',
    '.odd',
    '.TH x',
    '\\fBold',
    'Exit codes',
  ]) {
    t.true(stdout.includes(text), text);
  }
});

test('every program prints its completion and its manual', async t => {
  const run = async (...parameters: string[]) => {
    const [out, err] = [new Recorder(), new Recorder()];
    const around = { parameters, environment: {}, out, err, events: new EventEmitter() };
    return { code: await runProgram(withBuiltIns(program), around), out: out.text };
  };
  t.regex((await run('completion', 'bash')).out, /complete -o default -F _my_fixture my-fixture/);
  t.is((await run('completion', 'tcsh')).code, 2);
  t.regex((await run('manual')).out, /^\.TH MY\\-FIXTURE 1/);
  const help = (await run('--help')).out;
  t.regex(help, /completion/);
  t.notRegex(help, /manual/);
});
