import { spawnSync } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import test from 'ava';

/** The units, and ten times the worst exposure that is accepted of each, as systemd-analyze takes it. */
const UNITS = { 'systemd/image-unpacker.service': 40, 'systemd/imageserver.service': 20 };

/** Runs systemd-analyze, or says that it is not there. */
function analyze(t: ExecutionContext, ...args: string[]): ReturnType<typeof spawnSync> | undefined {
  const ended = spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 60_000 });
  if (ended.error === undefined) return ended;
  t.log('SKIPPED: systemd-analyze is not installed (package systemd)');
  t.pass();
  return undefined;
}

for (const [unit, worst] of Object.entries(UNITS)) {
  test(`systemd has nothing to say against ${unit}`, t => {
    const ended = analyze(t, 'verify', unit);
    if (ended === undefined) return;
    t.is(ended.stderr, '');
    t.is(ended.status, 0);
  });

  test(`${unit} exposes little`, t => {
    const ended = analyze(t, 'security', '--offline=true', `--threshold=${String(worst)}`, unit);
    if (ended === undefined) return;
    t.log(String(ended.stdout).trim().split('\n').at(-1));
    t.is(ended.status, 0);
  });
}
