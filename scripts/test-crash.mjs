// `npm run test:crash [-- --seed N] [FILE…]`: lets the power go, disks fail and processes be killed, many times. All
// that is random in it comes from the seed, which is printed; `test/crash/*.crash.ts` are the files.
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loopDeviceFault } from './loop-devices.mjs';
import { showSummary } from './summary.mjs';
import { runSuite, setUp } from './test-suites.mjs';

const SEEDS = 1_000_000;

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string' } },
  allowPositionals: true,
});
const seed = values.seed ?? String(Math.floor(Math.random() * SEEDS));
if (!/^\d+$/.test(seed)) {
  console.error(`--seed ${seed} is not a number`);
  process.exit(2);
}
setUp();
const fault = loopDeviceFault() ?? (existsSync('/dev/fuse') ? undefined : 'no /dev/fuse');
if (fault !== undefined) {
  console.error(`The crash tests cannot be run here: ${fault}`);
  process.exit(1);
}
console.log(`seed ${seed}`);
const began = performance.now();
const total = await runSuite('crash', { files: positionals, environment: { CRASH_SEED: seed } });
const seconds = Math.round((performance.now() - began) / 1000);
console.log(`${showSummary(total)}, seed ${seed}, ${String(seconds)} s`);
if (total.failed > 0) process.exitCode = 1;
