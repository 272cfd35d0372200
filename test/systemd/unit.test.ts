import { spawnSync } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import test from 'ava';

const UNIT = 'systemd/image-unpacker.service';
/** Ten times the worst exposure that is accepted, as systemd-analyze takes it. */
const WORST_EXPOSURE = 40;

/** Runs systemd-analyze, or says that it is not there. */
function analyze(t: ExecutionContext, ...args: string[]): ReturnType<typeof spawnSync> | undefined {
  const ended = spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 60_000 });
  if (ended.error === undefined) return ended;
  t.log('SKIPPED: systemd-analyze is not installed (package systemd)');
  t.pass();
  return undefined;
}

test('systemd has nothing to say against the unit', t => {
  const ended = analyze(t, 'verify', UNIT);
  if (ended === undefined) return;
  t.is(ended.stderr, '');
  t.is(ended.status, 0);
});

test('the unit exposes little', t => {
  const threshold = `--threshold=${String(WORST_EXPOSURE)}`;
  const ended = analyze(t, 'security', '--offline=true', threshold, UNIT);
  if (ended === undefined) return;
  t.log(String(ended.stdout).trim().split('\n').at(-1));
  t.is(ended.status, 0);
});
