import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../root/ext4-fixture.js';
import { BrokenPromise } from './examine.js';

/** Throws if one of those processes has left an instance of the kernel's tracing, which holds memory until it is removed. */
export function requireNoTraces(pids: readonly number[]): void {
  const directory = mkdtempSync(join(tmpdir(), 'traces-'));
  // Where there is no tracing, nothing can be left of it.
  const mounted = spawnSync('mount', ['-t', 'tracefs', 'tracefs', directory]).status === 0;
  try {
    if (!mounted) return;
    const left = readdirSync(join(directory, 'instances')).filter(name =>
      pids.some(pid => name.startsWith(`image-unpacker-${String(pid)}-`)),
    );
    if (left.length > 0) throw new BrokenPromise(`The kernel's tracing still has ${left.join()}`);
  } finally {
    if (mounted) run('umount', directory);
    rmdirSync(directory);
  }
}
