import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { run, temporaryDirectory } from './ext4-fixture.js';

/** A directory on a tmpfs of its own with these mount options, such as `size=4m`, until the test ends. */
export function makeSmall(t: ExecutionContext, options: string): string {
  const small = join(temporaryDirectory(t), 'small');
  mkdirSync(small);
  run('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', small);
  t.teardown(() => run('umount', small));
  run('mountpoint', '-q', small);
  return small;
}
