// `npm test`: sets up what is missing, builds what is stale, and runs the unit tests and the loop-device
// tests. With --require-root it is a failure when the loop-device tests have to be skipped; with --require-boot all
// tests that boot disks run, and it is one when they have to be.
import { spawn, spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { loopDeviceFault } from './loop-devices.mjs';
import { npmPackagesAreCurrent } from './npm-packages.mjs';
import { add, NOTHING, showSummary, summarize } from './summary.mjs';
import { installSystemPackages } from './system-packages.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function setUp() {
  installSystemPackages({ boot: requireBoot });
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

/** Runs a suite of ava.config.js, shows what it prints, and counts. */
async function runSuite(suite) {
  console.log(`\n${suite} tests`);
  const ava = spawn(process.execPath, ['node_modules/ava/entrypoints/cli.mjs'], {
    cwd: root,
    env: { ...process.env, TEST_SUITE: suite },
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

const requireRoot = process.argv.includes('--require-root');
const requireBoot = process.argv.includes('--require-boot');
if (requireBoot) process.env.REQUIRE_BOOT = 'yes';
setUp();
let total = add(NOTHING, await runSuite('unit'));
const fault = loopDeviceFault();
if (fault === undefined) {
  total = add(total, await runSuite('root'));
  if (requireBoot) total = add(total, await runSuite('system'));
} else console.log(`\nSKIPPED: loop-device tests: ${fault}`);
console.log(showSummary(total));
if (total.failed > 0 || (fault !== undefined && requireRoot)) process.exitCode = 1;
