import test from 'ava';
import { listRuns } from '../../src/publisher/journal.js';
import { resume } from '../../src/publisher/resume.js';
import { rollback } from '../../src/publisher/rollback.js';
import { localTarget } from '../../src/publisher/target.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { Shop, STREAM } from './shop.js';

/** The records of the only run of a shop that tell when things were done. */
async function timesOf(shop: Shop): Promise<string[]> {
  const [run] = await listRuns(shop.stateDirectory);
  return run!.records.flatMap(record => {
    if (record.record === 'reopened') return [record.to];
    if (record.record !== 'begun' && record.record !== 'ended') return [];
    const failed = record.record === 'ended' && record.error !== undefined ? ` ${record.error}` : '';
    return [`${record.target ?? 'all'} ${record.stage} ${record.record}${failed}`];
  });
}

test('a journal keeps when each stage began and ended, and who went on with the run', async t => {
  const shop = await Shop.open(temporaryDirectory(t));
  const target = localTarget(shop.path('raw'));
  shop.unpacker.beforeBlock = () => {
    throw new Error('the line is cut');
  };
  await shop.publish(1, { targets: [target] });
  const shared = ['all unpack begun', 'all unpack ended', 'all capture begun', 'all capture ended'];
  const disk = [`${target.name} disk begun`, `${target.name} disk ended`];
  const register = [`${target.name} register begun`, `${target.name} register ended`];
  const times = await timesOf(shop);
  t.deepEqual(times.slice(0, -1), [...shared, disk[0]]);
  t.regex(times.at(-1) ?? '', / disk ended .*the line is cut/);
  shop.unpacker.beforeBlock = () => undefined;
  const [{ begin } = t.fail()] = await listRuns(shop.stateDirectory);
  await resume(begin.run, shop.options);
  const all = [...shared, ...disk, ...register];
  t.deepEqual((await timesOf(shop)).slice(times.length), ['resume', ...all]);
  await resume(begin.run, shop.options);
  await rollback(begin.run, { ...shop.options, dryRun: true });
  t.is((await timesOf(shop)).length, times.length + 1 + all.length, 'who only looks changes nothing');
  await rollback(begin.run, shop.options);
  await rollback(begin.run, shop.options);
  t.deepEqual((await timesOf(shop)).slice(times.length + 1 + all.length), ['roll-back']);
  await shop.store.close();
});

test('a journal tells which image the parent of a disk is of', async t => {
  const shop = await Shop.open(temporaryDirectory(t));
  const targets = [localTarget(shop.path('raw'))];
  await shop.publish(1, { targets });
  await shop.publish(2, { targets });
  const parents = (await listRuns(shop.stateDirectory)).map(({ records }) =>
    records.flatMap(record =>
      record.record === 'outcome' && record.change === 'create-disk' ? [record.parentImage] : [],
    ),
  );
  t.deepEqual(parents, [[undefined], [`${STREAM}/1`]]);
  await shop.store.close();
});
