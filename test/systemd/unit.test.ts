import { spawnSync } from 'node:child_process';
import { needs } from '../needs.js';

/** The units, and ten times the worst exposure that is accepted of each, as systemd-analyze takes it. */
const UNITS = { 'systemd/image-unpacker.service': 40, 'systemd/imageserver.service': 20 };

const PROGRAM = 'systemd-analyze';
const unitTest = needs('what systemd says of units', { programs: [PROGRAM] });
const analyze = (...args: string[]) => spawnSync(PROGRAM, args, { encoding: 'utf8', timeout: 60_000 });

for (const [unit, worst] of Object.entries(UNITS)) {
  unitTest(`systemd has nothing to say against ${unit}`, t => {
    const ended = analyze('verify', unit);
    t.is(ended.stderr, '');
    t.is(ended.status, 0);
  });

  unitTest(`${unit} exposes little`, t => {
    const ended = analyze('security', '--offline=true', `--threshold=${String(worst)}`, unit);
    t.log(ended.stdout.trim().split('\n').at(-1));
    t.is(ended.status, 0);
  });
}
