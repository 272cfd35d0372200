import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why there can be no loop-device tests here, or undefined when there can. Found out by making one device. */
export function loopDeviceFault() {
  if (process.getuid() !== 0) return 'not root';
  if (!existsSync('/dev/loop-control')) return 'no /dev/loop-control';
  const directory = mkdtempSync(join(tmpdir(), 'loop-'));
  try {
    const file = join(directory, 'disk');
    writeFileSync(file, '');
    truncateSync(file, 1 << 20);
    const attached = losetup(['--find', '--show', file]);
    if (attached.status !== 0) return `losetup: ${attached.error?.message ?? attached.stderr.trim()}`;
    const detached = losetup(['--detach', attached.stdout.trim()]);
    return detached.status === 0 ? undefined : `losetup: ${detached.stderr.trim()}`;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function losetup(parameters) {
  return spawnSync('losetup', parameters, { encoding: 'utf8', timeout: 30_000 });
}
