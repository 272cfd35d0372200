import test from 'ava';
import type { ExecutionContext } from 'ava';
import { AwsAccounts } from '../../../src/cloud/aws/accounts.js';
import { USUAL_SETTINGS } from '../../../src/cloud/aws/settings.js';
import type { ImageUnpackerError } from '../../../src/image/error.js';
import { listUnpackers } from '../../../src/publisher/fleet/list-unpackers.js';
import { startUnpackers } from '../../../src/publisher/fleet/start-instances.js';
import { stopIdleUnpackers } from '../../../src/publisher/fleet/stop-idle-unpackers.js';
import { tagUnpackers } from '../../../src/publisher/fleet/tag-unpackers.js';
import type { FleetOptions } from '../../../src/publisher/fleet/options.js';
import type { FleetAccess } from '../../../src/publisher/fleet/unpackers.js';
import { addVolumes, removeUnusedVolumes } from '../../../src/publisher/fleet/volumes.js';
import type { AwsTarget } from '../../../src/publisher/target.js';
import { simulatedAgents } from '../../simulator/agent.js';
import { fastClock } from '../../simulator/clock.js';
import { addInstance, fleetOf, instanceState } from '../../simulator/fleet.js';
import { startSimulator } from '../../simulator/index.js';

const ACCOUNT = '111122223333';
const clock = fastClock(500);

/** An account with a region, and how it is reached. */
async function bed(t: ExecutionContext) {
  const simulator = await startSimulator({ clock });
  t.teardown(() => simulator.stop());
  Object.assign(process.env, simulator.environment(ACCOUNT));
  const place = simulator.world.place(ACCOUNT, 'us-east-1');
  const fake = simulatedAgents(simulator.world, place, new Map());
  const target: AwsTarget = {
    kind: 'aws',
    name: 'production/us-east-1',
    account: 'production',
    region: 'us-east-1',
    strategy: 'snapshot',
    access: { accountId: ACCOUNT },
    settings: USUAL_SETTINGS,
  };
  const accounts = new AwsAccounts(clock);
  const options: FleetOptions & FleetAccess = {
    targets: [target],
    connect: fake.connect,
    openFleet: async (_, name = 'ImageUnpacker', signal) => ({
      session: await accounts.session(target.access, target.region, signal),
      target: target.name,
      name,
    }),
  };
  const { world } = simulator;
  return { simulator, world, place, options, fake, target };
}

test.serial('unpackers are listed with what they are at, and none is started', async t => {
  const { world, place, options, fake } = await bed(t);
  const one = addInstance(world, place, { address: '10.0.0.1' });
  const two = addInstance(world, place, { address: '10.0.0.2', state: 'stopped' });
  addInstance(world, place, { tags: { Name: 'Other' } });
  fake.of(one).pins.set('base/os', 'vol01');
  fake.of(one).busy.add('base/os');
  const [row] = await listUnpackers(options);
  t.like(row, { Target: 'production/us-east-1', AccountId: ACCOUNT, Error: undefined });
  t.true(row !== undefined && 'Unpackers' in row && row.Unpackers.length === 2);
  t.like(row, {
    Unpackers: [
      {
        InstanceId: one.id,
        IpAddress: '10.0.0.1',
        State: 'running',
        Busy: ['base/os'],
        TimeSinceLastUsed: 0,
      },
      { InstanceId: two.id, State: 'stopped' },
    ],
  });
  t.is(instanceState(world, two), 'stopped');
});

test.serial('an agent that does not answer is told with its unpacker', async t => {
  const { world, place, options } = await bed(t);
  addInstance(world, place, { address: '10.0.0.1' });
  const connect = (): Promise<never> => Promise.reject(new Error('nobody there'));
  const [row] = await listUnpackers({ ...options, connect });
  t.like(row, { Unpackers: [{ State: 'running', ErrorCode: 'INTERNAL' }] });
});

test.serial('one that is stopping is waited for and started, and its agent is waited for', async t => {
  const { simulator, world, place, options } = await bed(t);
  const instance = addInstance(world, place, { address: '10.0.0.1', state: 'stopping' });
  t.like(await startUnpackers({ ...options, agents: true, dryRun: true }), [{ AlreadyRunning: false }]);
  t.false(simulator.calls.some(({ operation }) => operation === 'StartInstances'));
  const rows = await startUnpackers({ ...options, agents: true });
  t.like(rows, [{ InstanceId: instance.id, PrivateIp: '10.0.0.1', AlreadyRunning: false }]);
  t.is(rows[0]?.Error, undefined);
  t.is(instanceState(world, instance), 'running');
  t.is(simulator.calls.filter(({ operation }) => operation === 'StartInstances').length, 1);
  t.like(await startUnpackers(options), [{ AlreadyRunning: true }]);
});

test.serial('starting says so when there is none, or several', async t => {
  const { world, place, options } = await bed(t);
  t.regex((await startUnpackers(options))[0]?.Error ?? '', /no unpacker/);
  addInstance(world, place, { state: 'stopped' });
  addInstance(world, place, { state: 'stopped' });
  t.regex((await startUnpackers(options))[0]?.Error ?? '', /several instances/);
});

test.serial('only those are stopped that are idle and say so', async t => {
  const { world, place, options, fake } = await bed(t);
  const old = world.clock.now() - 3_600_000;
  const add = (address: string) => Object.assign(addInstance(world, place, { address }), { since: old });
  const [idle, used, never, fresh] = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'].map(add);
  fake.of(idle!).lastUsed = new Date(old).toISOString();
  fake.of(used!).lastUsed = new Date(world.clock.now()).toISOString();
  fresh!.since = world.clock.now();
  const how = { ...options, maxIdle: 1800 };
  t.like(await stopIdleUnpackers({ ...how, dryRun: true }), [{ Stopped: [idle!.id, never!.id] }]);
  t.is(instanceState(world, idle!), 'running');
  const [row] = await stopIdleUnpackers(how);
  t.like(row, { Stopped: [idle!.id, never!.id], Running: [used!.id, fresh!.id], Error: undefined });
  t.not(instanceState(world, idle!), 'running');
  t.is(instanceState(world, used!), 'running');
  const silent = { ...how, connect: () => Promise.reject(new Error('nobody there')), maxIdle: 0 };
  t.regex((await stopIdleUnpackers(silent))[0]?.Error ?? '', /runs on: .*nobody there/);
  t.is(instanceState(world, used!), 'running');
});

test.serial('tags of unpackers are set and removed, and never the one that they are found by', async t => {
  const { world, place, options } = await bed(t);
  const instance = addInstance(world, place);
  await tagUnpackers({ ...options, set: { RequiredImage: 'base/os/1' } });
  t.is(instance.tags.get('RequiredImage'), 'base/os/1');
  await tagUnpackers({ ...options, remove: ['RequiredImage'], dryRun: true });
  t.true(instance.tags.has('RequiredImage'));
  t.like(await tagUnpackers({ ...options, remove: ['RequiredImage'] }), [{ InstanceIds: [instance.id] }]);
  t.deepEqual([...instance.tags.keys()], ['Name']);
  for (const wrong of [{ remove: ['Name'] }, { set: { Name: 'x' } }, {}]) {
    const reason = await t.throwsAsync<ImageUnpackerError>(tagUnpackers({ ...options, ...wrong }));
    t.is(reason.code, 'USAGE');
  }
});

test.serial('a target that cannot be entered leaves the others alone', async t => {
  const { world, place, options, target } = await bed(t);
  addInstance(world, place);
  const openFleet: FleetAccess['openFleet'] = async (given, ...rest) => {
    if (given.name === 'other/us-east-1') throw new Error('no such account');
    return options.openFleet!(given, ...rest);
  };
  const targets = [{ ...target, name: 'other/us-east-1' }, target];
  const rows = await listUnpackers({ ...options, targets, openFleet });
  t.like(rows, [{ ErrorCode: 'INTERNAL' }, { Error: undefined }]);
});

test.serial('a volume is added, and removed again when no stream uses it', async t => {
  const { world, place, options, fake } = await bed(t);
  const instance = addInstance(world, place, { address: '10.0.0.1' });
  const { volumes } = fleetOf(place);
  t.like(await addVolumes({ ...options, size: 3, dryRun: true }), [
    { InstanceId: instance.id, VolumeIds: [] },
  ]);
  t.is(volumes.size, 0);
  const [one] = await addVolumes({ ...options, size: 3 });
  const [two] = await addVolumes({ ...options, size: 3 });
  t.is(one!.Error, undefined);
  const ids = [...volumes.keys()];
  t.like([one, two], [{ VolumeIds: [ids[0]!] }, { VolumeIds: [ids[1]!] }]);
  const devices = [...volumes.values()].map(({ attachment }) => attachment!.device);
  t.is(new Set(devices).size, 2, 'the name that was taken is not taken again');
  fake.of(instance).pins.set('base/os', ids[0]!.replace('-', ''));
  t.like(await removeUnusedVolumes({ ...options, dryRun: true }), [{ VolumeIds: [ids[1]!], Size: 3 }]);
  t.is(volumes.size, 2);
  t.like(await removeUnusedVolumes(options), [{ VolumeIds: [ids[1]!], Error: undefined }]);
  t.deepEqual([...volumes.keys()], [ids[0]!]);
});

test.serial('a volume that may be used stays', async t => {
  const { world, place, options } = await bed(t);
  const instance = addInstance(world, place, { address: '10.0.0.1' });
  const { volumes } = fleetOf(place);
  const [row] = await addVolumes({ ...options, size: 1 });
  t.is(row!.Error, undefined);
  const [volume] = [...volumes.values()];
  volume!.tags.set('Run', 'a run that is at work');
  t.like(await removeUnusedVolumes(options), [{ VolumeIds: [] }]);
  volume!.tags.delete('Run');
  Object.assign(instance, { state: 'stopped' });
  const [stopped] = await removeUnusedVolumes(options);
  t.like(stopped, { VolumeIds: [] });
  t.regex(stopped!.Error ?? '', /does not run/);
  volume!.attachment = undefined;
  volume!.tags.set('Stream', 'base/os');
  t.like(await removeUnusedVolumes(options), [{ VolumeIds: [], Error: undefined }]);
  volume!.tags.delete('Stream');
  volume!.tags.delete('ManagedBy');
  t.like(await removeUnusedVolumes(options), [{ VolumeIds: [] }], 'it is not ours');
  volume!.tags.set('ManagedBy', 'image-unpacker');
  t.like(await removeUnusedVolumes(options), [{ VolumeIds: [volume!.id] }]);
  t.is(volumes.size, 0);
});
