import { spawn, spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { npmPackagesAreCurrent } from './npm-packages.mjs';
import { summarize } from './summary.mjs';
import { installSystemPackages } from './system-packages.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Installs what is missing, for booting too if that is asked for, and builds what is stale. Ends the program when that fails. */
export function setUp({ boot = false } = {}) {
  installSystemPackages({ boot });
  if (!npmPackagesAreCurrent(root)) run('npm', ['ci', '--include=dev']);
  for (const script of ['native/build.mjs', 'native/build-fs-ext.mjs', 'scripts/build.mjs']) {
    run(process.execPath, [script]);
  }
}

function run(program, parameters) {
  const { status, error } = spawnSync(program, parameters, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status === 0) return;
  console.error(
    `${program} ${parameters.join(' ')} failed${error === undefined ? '' : `: ${error.message}`}`,
  );
  process.exit(1);
}

/** Runs a suite of ava.config.js, or some files of it, shows what it prints, and counts. */
export async function runSuite(suite, { files = [], environment = {} } = {}) {
  console.log(`\n${suite} tests`);
  const ava = spawn(process.execPath, ['node_modules/ava/entrypoints/cli.mjs', ...files], {
    cwd: root,
    env: { ...process.env, ...environment, TEST_SUITE: suite },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve, reject) => ava.on('close', resolve).on('error', reject));
  let output = '';
  for await (const text of ava.stdout.setEncoding('utf8')) {
    output += text;
    process.stdout.write(text);
  }
  return summarize(stripVTControlCharacters(output), (await ended) === 0);
}
