import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { serveStore, shortDirectory } from '../../imageserver/serving.js';
import { prepare } from './prepare.js';
import { json } from './run.js';

test('an image is copied to a directory and to a server, once, and is the same there', async t => {
  const { directory, store, source } = prepare(t);
  const cache = ['--cache', join(directory, 'cache')];
  await json(store, 0, 'build', 's/1', '--from', source, '--tag', 'a=b');
  const built = await json(store, 0, 'show', 's/1');
  const { address } = await serveStore(t, join(shortDirectory(t), 'store'));
  const elsewhere = join(directory, 'elsewhere');
  for (const to of [elsewhere, address]) {
    const place = to === address ? ['--server', to, ...cache] : ['--store', to];
    t.true(
      ((await json(store, 0, 'copy', 's/1', '--to', to, ...cache)) as { newObjects: number }).newObjects > 1,
    );
    t.like(await json(store, 0, 'copy', 's/1', '--to', to, ...cache), {
      name: 's/1',
      newObjects: 0,
      newBytes: 0,
    });
    t.deepEqual(await json('', 0, 'show', 's/1', ...place), built);
    t.like(await json('', 0, 'verify', 's/1', ...place), { faults: [] });
  }
  writeFileSync(join(source, 'new'), 'more');
  const other = join(directory, 'other');
  await json(other, 0, 'build', 's/1', '--from', source);
  for (const to of [elsewhere, address])
    t.like(await json(other, 1, 'copy', 's/1', '--to', to, ...cache), { error: { code: 'IMAGE_EXISTS' } });
  t.like(await json(store, 1, 'copy', 's/2', '--to', elsewhere), { error: { code: 'IMAGE_UNKNOWN' } });
});
