import test from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * An inode that is in use and has no name is seen in no tree, and yet it is no part of the image.
 */

const metadata = { uid: 0, gid: 0, mtime: 7n, xattrs: [] };

function tree(...names: string[]): Entry[] {
  const root: Entry = { ...metadata, type: 'directory', path: Buffer.alloc(0), mode: 0o755, flags: 0 };
  const links = names.map((name): Entry => {
    const target = Buffer.from(`to ${name}`);
    const kind = { type: 'symlink', target, flags: 0, names: [] } as const;
    return { ...metadata, ...kind, path: Buffer.from(name), mode: 0o777 };
  });
  return [root, ...links];
}

test('what lost its name without being freed is found by a scan, and freed', async t => {
  const fixture = await VolumeFixture.make(t);
  const [all, less] = [tree('a', 'b', 'c', 'd'), tree('a', 'd')];
  await fixture.apply(await fixture.image(all));
  fixture.run('debugfs', '-w', '-R', 'unlink b', 'DEVICE');
  fixture.run('debugfs', '-w', '-R', 'unlink c', 'DEVICE');
  // Who mounts it leaves a trace, after which the volume is scanned.
  await fixture.mounted('rw', () => undefined);
  const result = await fixture.apply(await fixture.image(less));
  t.is(result.scan, 'stat');
  t.deepEqual(await fixture.check(less), { identical: true, differences: [] });
});

test('what keeps its inode when its last name goes is found before the volume is called clean, and freed', async t => {
  const fixture = await VolumeFixture.make(t);
  const [all, less] = [tree('a', 'b', 'c', 'd'), tree('a', 'd')];
  await fixture.apply(await fixture.image(all));
  fixture.run('debugfs', '-w', '-R', 'set_inode_field b links_count 2', 'DEVICE');
  const result = await fixture.apply(await fixture.image(less));
  t.is(result.scan, 'repair');
  t.deepEqual(await fixture.check(less), { identical: true, differences: [] });
});
