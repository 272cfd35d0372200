import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import { silentProgress } from '../../../src/image/progress.js';
import { collect } from '../../../src/store/local/collect.js';
import { openLocalStore } from '../../../src/store/local/store.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { build, contentOf, faultsOf } from './stores.js';

const PROGRAM = join(import.meta.dirname, 'replicating.ts');
/** Far more calls than there are until all is replicated. */
const MOST_KILLS = 200;

test('whenever it is killed, and its store is collected, nothing incomplete is seen, and all arrives', async t => {
  const root = temporaryDirectory(t);
  const [from, to] = [join(root, 'source'), join(root, 'destination')];
  const source = await openLocalStore(from, { create: true });
  t.teardown(() => source.close());
  const texts = Array.from({ length: 300 }, (_, at) => `text ${String(at)}`);
  await build(source, 's/a', [...texts, 'x'.repeat(20 << 20)]);
  await build(source, 's/b', [...texts, 'another']);
  await moveChannel(source, { stream: 's', name: 'c' }, 's/b', { movedAt: new Date() });
  const names: string[] = [];
  let kills = 0;
  for (; kills < MOST_KILLS; kills++) {
    const parameters = [from, to, String(kills * 3), String(kills % 4)];
    const child = spawn(process.execPath, ['--import=tsx', PROGRAM, ...parameters], { stdio: 'inherit' });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    const destination = await openLocalStore(to);
    try {
      t.deepEqual(await faultsOf(destination), []);
      names.push((await destination.list()).map(({ name }) => name).join());
      for (const { moves } of await destination.channels()) t.is(moves[0]?.image, 's/b');
    } finally {
      await destination.close();
    }
    if (signal === null) {
      t.is(code, 0);
      break;
    }
    t.is(signal, 'SIGKILL');
    if (kills % 2 === 0) await collect(to, { dryRun: false, progress: silentProgress });
  }
  t.true(kills > 5 && kills < MOST_KILLS, String(kills));
  t.log(
    `${String(kills)} kills; then it showed ${[...new Set(names)].map(each => each || 'nothing').join(' | ')}`,
  );
  const destination = await openLocalStore(to);
  t.teardown(() => destination.close());
  t.deepEqual(await contentOf(destination), await contentOf(source));
});
