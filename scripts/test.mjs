// `npm test`: sets up what is missing, builds what is stale, and runs the unit tests and the loop-device
// tests. With --require-root it is a failure when the loop-device tests have to be skipped; with --require-boot all
// tests that boot disks run, and it is one when they have to be. With --require-moto it is one when there is no moto_server
// to try what speaks to Amazon against.
import { loopDeviceFault } from './loop-devices.mjs';
import { add, NOTHING, showSummary } from './summary.mjs';
import { runSuite, setUp } from './test-suites.mjs';

const requireRoot = process.argv.includes('--require-root');
const requireBoot = process.argv.includes('--require-boot');
if (requireRoot) process.env.REQUIRE_ROOT = 'yes';
if (requireBoot) process.env.REQUIRE_BOOT = 'yes';
if (process.argv.includes('--require-moto')) process.env.REQUIRE_MOTO = 'yes';
setUp({ boot: requireBoot });
let total = add(NOTHING, await runSuite('unit'));
const fault = loopDeviceFault();
if (fault === undefined) {
  total = add(total, await runSuite('root'));
  if (requireBoot) total = add(total, await runSuite('system'));
} else console.log(`\nSKIPPED: loop-device tests: ${fault}`);
console.log(showSummary(total));
if (total.failed > 0 || (fault !== undefined && requireRoot)) process.exitCode = 1;
