import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import { temporaryDirectory } from '../temporary-directory.js';
import { runTarget } from './run-target.js';
import { TARGETS } from './targets.js';

/*
 * A short run of what `npm run fuzz` does for longer, always with the same cases.
 */

const CASES: Readonly<Record<string, number>> = {
  tar: 1500,
  compressed: 100,
  ext4: 200,
  'scan of ext4': 1000,
  'OCI layout': 400,
  'Docker archive': 400,
};
const USUAL_CASES = 3000;

for (const target of TARGETS) {
  test.serial(`${target.name}: whatever is damaged, it is read rightly or refused`, async t => {
    const cases = await target.prepare(temporaryDirectory(t));
    const most = CASES[target.name] ?? USUAL_CASES;
    const { tried, accepted, findings } = await runTarget(
      target,
      cases,
      'ci',
      0,
      tally => tally.tried < most,
    );
    t.deepEqual(findings, []);
    t.log(`${String(accepted)} of ${String(tried)} accepted`);
    t.true(accepted > 0 && accepted < tried);
  });
}

test('the program that does it for longer runs outside of AVA', async t => {
  const parameters = ['--import=tsx', 'test/fuzz/main.ts', '--minutes', '0', '--target', 'index'];
  const { stdout } = await promisify(execFile)(process.execPath, parameters);
  t.regex(stdout, /^index: 0 cases, 0 accepted, 0 findings$/m);
});
