import test from 'ava';
import { showPlan } from '../../../src/cli/ami-publisher/show-plan.js';
import { plan } from '../../../src/publisher/plan.js';
import type { PlanRow } from '../../../src/publisher/plan.js';
import { addInstance, fleetOf } from '../../simulator/fleet.js';
import { STREAM } from '../shop.js';
import type { Bed } from './bed.js';
import { bed, publish } from './bed.js';

/* Plans of the strategy snapshot: what would be used, how large, how long, and that nothing is changed. */

const CHANGING = /^(Create|Attach|Detach|Modify|Delete|Start|Stop|Register|Put)/;

function ask({ shop, targets, openTarget }: Bed, leaf: number, preflight = false): Promise<PlanRow[]> {
  return plan({ image: `${STREAM}/${String(leaf)}`, store: shop.store, targets, openTarget, preflight });
}

/** The calls since then that were made and would have changed something; DryRun answers 412. */
function changesSince({ simulator }: Bed, count: number) {
  return simulator.calls
    .slice(count)
    .filter(({ operation, status }) => CHANGING.test(operation) && status === 200);
}

test.serial('a plan tells which unpacker and which volume are used, and changes nothing', async t => {
  const it = await bed(t);
  const [place] = it.places;
  const instance = addInstance(it.world, place!, { address: '10.0.0.1', state: 'stopped' });
  const [first] = await ask(it, 1);
  t.like(first, { Action: 'publish', Strategy: 'snapshot', Unpacker: instance.id, UnpackerRuns: false });
  t.like(first, { VolumeId: undefined, VolumeSize: 0, VolumeSizeThen: 2, ParentSnapshotId: undefined });
  t.deepEqual(Object.keys(first!.EstimatedStages!), ['unpacker', 'volume', 'unpack', 'snapshot', 'register']);
  t.true(first!.EstimatedStages!['unpacker']! > 0 && first!.EstimatedStages!['volume']! > 0);
  t.is(first!.EstimatedCost, 0);
  t.true(first!.EstimatedMonthlyCost! >= 2 * 0.08, 'the volume costs as well');
  t.is(fleetOf(place!).volumes.size, 0);
  const [published] = await publish(it, 1);
  t.deepEqual(Object.keys(published!.Stages), Object.keys(first!.EstimatedStages!), 'named as in results');
  const [volume] = fleetOf(place!).volumes.values();
  const made = it.simulator.calls.length;
  const [second] = await ask(it, 2);
  t.like(second, { Unpacker: instance.id, UnpackerRuns: true, VolumeId: volume!.id, VolumeSizeThen: 2 });
  t.like(second, { ParentImage: `${STREAM}/1`, ParentSnapshotId: published!.SnapshotId });
  t.is(second!.EstimatedStages!['unpacker']! + second!.EstimatedStages!['volume']!, 0);
  t.true(second!.EstimatedMonthlyCost! < 0.08);
  volume!.size = 0.25;
  t.like((await ask(it, 2))[0], { VolumeSize: 0.25, VolumeSizeThen: 2 });
  t.is((await ask(it, 2))[0]!.VolumeChangedAt, undefined);
  const [day, now] = [24 * 3_600_000, it.world.clock.now()];
  volume!.changes = [now - 2 * day];
  t.is((await ask(it, 2))[0]!.VolumeChangedAt, undefined, 'long ago');
  volume!.changes.push(now - day / 2);
  const [soon] = await ask(it, 2);
  t.is(soon!.VolumeChangedAt, new Date(now - day / 2).toISOString());
  t.regex(showPlan([soon!]), /grows from 0\.25 to 2 GiB; AWS may refuse that, as it was changed at 20/);
  volume!.size = 2;
  t.is((await ask(it, 2))[0]!.VolumeChangedAt, undefined, 'it does not grow');
  t.deepEqual(changesSince(it, made), []);
});

test.serial('what is on the volume counts, not what was published last', async t => {
  const it = await bed(t);
  addInstance(it.world, it.places[0]!, { address: '10.0.0.1' });
  await publish(it, 1);
  const before = await ask(it, 2);
  const agent = [...it.fakes[0]!.agents.values()][0]!;
  // Somebody has had it unpacked already.
  const { digest } = await it.shop.store.image(`${STREAM}/2`);
  await agent.unpack({ image: `${STREAM}/2`, digest, create: false });
  t.true(before[0]!.NewBytes! > 0);
  t.is((await ask(it, 2))[0]!.NewBytes, 0);
});

test.serial('a target without an unpacker is refused', async t => {
  const [row] = await ask(await bed(t), 1);
  t.like(row, { Action: 'refused', ErrorCode: 'CLOUD_FAILED' });
  t.regex(row!.Error!, /no unpacker/);
});

test.serial('a preflight tries the calls of this strategy, and not those that send blocks', async t => {
  const it = await bed(t);
  addInstance(it.world, it.places[0]!, { address: '10.0.0.1' });
  const states = async (): Promise<Map<string, string>> => {
    const [row] = await ask(it, 2, true);
    return new Map(row!.Preflight!.map(({ check, state }) => [check, state]));
  };
  t.is((await states()).get('CreateSnapshot'), 'unknown', 'there is no volume');
  await publish(it, 1);
  const made = it.simulator.calls.length;
  const found = await states();
  const fleet = [
    'DescribeInstances',
    'DescribeVolumes',
    'DescribeVolumesModifications',
    'StartInstances',
    'CreateVolume',
    'AttachVolume',
  ];
  for (const call of [...fleet, 'ModifyVolume', 'CreateSnapshot', 'RegisterImage', 'unpackers'])
    t.is(found.get(call), 'ok', call);
  for (const call of ['StartSnapshot', 'PutSnapshotBlock', 'StopInstances']) t.false(found.has(call), call);
  t.deepEqual(changesSince(it, made), []);
});

for (const operation of [
  'StartInstances',
  'CreateVolume',
  'AttachVolume',
  'CreateSnapshot',
  'ModifyVolume',
]) {
  test.serial(`a preflight finds that ${operation} is not allowed`, async t => {
    const it = await bed(t);
    addInstance(it.world, it.places[0]!, { address: '10.0.0.1' });
    await publish(it, 1);
    it.simulator.denies = (_, __, called) => called === operation;
    const [row] = await ask(it, 2, true);
    t.like(row, { Action: 'refused', ErrorCode: 'NO_PERMISSION' });
    t.regex(row!.Error!, new RegExp(`${operation}: .*not authorized`));
  });
}
