// `npm run fuzz -- [--minutes N] [--target NAME] [--seed SEED] [--case N]`: tries the readers of untrusted bytes with
// damaged ones, each target for its share of the time, and prints how to repeat what it finds.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import type { Tally } from './run-target.js';
import { runTarget } from './run-target.js';
import { TARGETS } from './targets.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    target: { type: 'string' },
    seed: { type: 'string', default: String(Date.now()) },
    case: { type: 'string' },
  },
});

const chosen = TARGETS.filter(({ name }) => values.target === undefined || values.target === name);
if (chosen.length === 0) {
  console.error(`There is no target ${String(values.target)}: ${TARGETS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const share = (Number(values.minutes) * 60_000) / chosen.length;
const only = values.case === undefined ? undefined : Number(values.case);
let found = 0;
console.log(`seed ${values.seed}`);
for (const target of chosen) {
  const directory = mkdtempSync(join(tmpdir(), 'fuzz-'));
  try {
    const cases = await target.prepare(directory);
    const end = performance.now() + share;
    const goOn = ({ tried }: Tally): boolean => (only === undefined ? performance.now() < end : tried < 1);
    const { tried, accepted, findings } = await runTarget(target, cases, values.seed, only ?? 0, goOn);
    console.log(
      `${target.name}: ${String(tried)} cases, ${String(accepted)} accepted, ${String(findings.length)} findings`,
    );
    for (const { number, reason } of findings) {
      console.log(
        `  npm run fuzz -- --target '${target.name}' --seed ${values.seed} --case ${String(number)}`,
      );
      console.log(inspect(reason).replace(/^/gm, '    '));
    }
    found += findings.length;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
process.exitCode = found === 0 ? 0 : 1;
