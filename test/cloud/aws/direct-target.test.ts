import test from 'ava';
import type { ExecutionContext } from 'ava';
import { AwsAccounts } from '../../../src/cloud/aws/accounts.js';
import { DirectTarget } from '../../../src/cloud/aws/direct-target.js';
import type { AwsImageSettings } from '../../../src/cloud/aws/settings.js';
import { USUAL_SETTINGS } from '../../../src/cloud/aws/settings.js';
import type { DiskMaps } from '../../../src/cloud/cloud.js';
import { diskDigest, DISK_BLOCK_SIZE } from '../../../src/image/disk-map.js';
import type { DiskMap } from '../../../src/image/disk-map.js';
import type { ImageUnpackerError } from '../../../src/image/error.js';
import { testCloudTarget } from '../../contract/cloud.js';
import { ModelDisk } from '../../model/disk.js';
import { fastClock } from '../../simulator/clock.js';
import type { Trouble } from '../../simulator/fault.js';
import type { Simulator } from '../../simulator/index.js';
import { startSimulator } from '../../simulator/index.js';

const ACCOUNT = '111122223333';
const REGION = 'us-east-1';
const clock = fastClock(500);

let simulator: Simulator;

test.before(async () => {
  simulator = await startSimulator({ clock });
  Object.assign(process.env, simulator.environment(ACCOUNT));
});

test.after.always(() => simulator.stop());

let regions = 0;

/** A region of its own for each test. */
function newRegion(): string {
  return `us-test-${String(++regions)}`;
}

function memoryMaps(): DiskMaps {
  const maps = new Map<string, DiskMap>();
  return {
    find: (_, digest) => Promise.resolve(maps.get(digest)),
    keep: (_, map) => {
      maps.set(diskDigest(map).toString('hex'), map);
      return Promise.resolve();
    },
  };
}

async function open(
  region: string,
  maps: DiskMaps,
  settings: Partial<AwsImageSettings> = {},
): Promise<DirectTarget> {
  const session = await new AwsAccounts(clock).session({ accountId: ACCOUNT }, region);
  return new DirectTarget({
    session,
    maps,
    target: `${ACCOUNT}/${region}`,
    settings: { ...USUAL_SETTINGS, ...settings },
  });
}

testCloudTarget(test, 'direct', async () => {
  const [region, maps] = [newRegion(), memoryMaps()];
  return { target: await open(region, maps), reopen: () => open(region, maps) };
});

const SIZE = 40 * DISK_BLOCK_SIZE;
const FIRST = ModelDisk.of({ 0: 1, 1: 2, 7: 3, 8: 4, 39: 5 }, SIZE);
const TAGS = { Name: 'base/os/1', Stream: 'base/os', ImageName: 'base/os/1:a', Run: 'run-1' };

async function publish(t: ExecutionContext, target: DirectTarget, disk = FIRST, token = 'a') {
  const made = await target.createDisk({ token, content: disk.content(), parent: undefined, tags: TAGS });
  const image = await target.register(made.id, TAGS);
  t.deepEqual(await target.readBack(image.id), disk.map);
  return { made, image };
}

test.serial(
  'an image is what its target says: encrypted, gp3, with tokens for metadata, by its name',
  async t => {
    const region = newRegion();
    const settings = { iops: 4000, throughput: 250, tpm: true, rootSize: 8 };
    const target = await open(region, memoryMaps(), settings);
    const { image } = await publish(t, target);
    const place = simulator.world.place(ACCOUNT, region);
    const { request, snapshotId, name } = place.images.get(image.id)!;
    t.is(name, 'base/os/1.a');
    t.like(request, {
      Architecture: 'x86_64',
      BootMode: 'uefi-preferred',
      EnaSupport: 'true',
      ImdsSupport: 'v2.0',
      TpmSupport: 'v2.0',
      RootDeviceName: '/dev/xvda',
      'BlockDeviceMapping.1.Ebs.VolumeType': 'gp3',
      'BlockDeviceMapping.1.Ebs.Iops': '4000',
      'BlockDeviceMapping.1.Ebs.Throughput': '250',
      'BlockDeviceMapping.1.Ebs.VolumeSize': '8',
    });
    t.is(place.snapshots.get(snapshotId)!.keyArn, place.findKey('alias/aws/ebs')!.arn);
  },
);

test.serial('images are shared with a key of one’s own, deprecated, and named by a parameter', async t => {
  const region = newRegion();
  const place = simulator.world.place(ACCOUNT, region);
  const arn = place.addKey('alias/images', 'CUSTOMER');
  const sharedWith = { accounts: ['444455556666'], organisations: [], units: [] };
  const target = await open(region, memoryMaps(), {
    kmsKey: 'alias/images',
    sharedWith,
    parameters: '/images',
    deprecateAfter: 86_400,
  });
  const { image, made } = await publish(t, target);
  t.is(place.snapshots.get(made.id)!.keyArn, arn);
  t.deepEqual([...place.images.get(image.id)!.launchPermissions], ['444455556666']);
  t.truthy(place.images.get(image.id)!.deprecateAt);
  t.like(place.parameters.get('/images/base/os/latest'), { value: image.id });
});

test.serial('a stream is named by a parameter, whatever its name has that no parameter can have', async t => {
  const region = newRegion();
  const target = await open(region, memoryMaps(), { parameters: '/images' });
  const tags = { ...TAGS, Stream: 'base/c++:1~2', ImageName: 'base/c++:1~2/1' };
  const content = FIRST.content();
  const made = await target.createDisk({ token: 'a', content, parent: undefined, tags });
  const { id } = await target.register(made.id, tags);
  const { parameters } = simulator.world.place(ACCOUNT, region);
  t.like(parameters.get('/images/base/c_2b__2b__3a_1_7e_2/latest'), { value: id });
  await target.remove(id, {});
  t.is(parameters.size, 0);
});

test.serial('what somebody has changed of an image is told', async t => {
  const region = newRegion();
  const place = simulator.world.place(ACCOUNT, region);
  place.addKey('alias/images', 'CUSTOMER');
  const sharedWith = { accounts: ['444455556666'], organisations: [], units: [] };
  const target = await open(region, memoryMaps(), { kmsKey: 'alias/images', sharedWith, iops: 4000 });
  const { image } = await publish(t, target);
  t.deepEqual(await target.inspect(image.id), []);
  const held = place.images.get(image.id)!;
  held.launchPermissions.clear();
  held.launchPermissions.add('777788889999');
  held.request['ImdsSupport'] = '';
  place.snapshots.get(held.snapshotId)!.keyArn = 'arn:aws:kms:us-east-1:111122223333:key/other';
  t.deepEqual(await target.inspect(image.id), [
    'the support of IMDS is "", not "v2.0"',
    'its disk is encrypted with arn:aws:kms:us-east-1:111122223333:key/other',
    '444455556666 may not start machines of it',
    '777788889999 may start machines of it',
  ]);
});

test.serial('a key that cannot be shared, or is not there, is said before anything is made', async t => {
  const region = newRegion();
  const sharedWith = { accounts: ['444455556666'], organisations: [], units: [] };
  for (const settings of [{ sharedWith }, { kmsKey: 'alias/none' }]) {
    const target = await open(region, memoryMaps(), settings);
    const request = { token: 'a', content: FIRST.content(), parent: undefined, tags: TAGS };
    const error = await t.throwsAsync<ImageUnpackerError>(target.createDisk(request));
    t.is(error.code, 'CONFIGURATION');
  }
  t.is(simulator.world.place(ACCOUNT, region).snapshots.size, 0);
});

const troubles: Trouble[] = ['throttled', 'failed', 'cut', 'lost'];

for (const trouble of troubles) {
  test.serial(`each call once ${trouble}: there is one image in the end, and it is right`, async t => {
    const region = newRegion();
    const target = await open(region, memoryMaps());
    const seen = new Set<string>();
    simulator.schedule = operation => {
      if (seen.has(operation)) return undefined;
      seen.add(operation);
      return trouble;
    };
    try {
      const { image } = await publish(t, target);
      const place = simulator.world.place(ACCOUNT, region);
      t.deepEqual([...place.images.keys()], [image.id]);
      t.is(place.snapshots.size, 1);
      t.true(seen.has('RegisterImage') && seen.has('PutSnapshotBlock') && seen.has('CompleteSnapshot'));
    } finally {
      simulator.schedule = () => undefined;
    }
  });
}

test.serial('of a disk that was interrupted only what had not arrived is sent', async t => {
  const region = newRegion();
  const maps = memoryMaps();
  const target = await open(region, maps);
  const arrived = new Set<string>();
  const sent = {
    has: (id: string, number: number) => arrived.has(`${id} ${String(number)}`),
    add: (id: string, number: number) => void arrived.add(`${id} ${String(number)}`),
    flush: () => Promise.resolve(),
  };
  const content = FIRST.content();
  const failing = {
    map: content.map,
    async *blocks(numbers: readonly number[]) {
      for await (const block of content.blocks(numbers.slice(0, 3))) yield block;
      while (arrived.size < 3) await clock.sleep(1000);
      throw new Error('the machine went down');
    },
  };
  const request = { token: 'a', parent: undefined, tags: TAGS, sent };
  await t.throwsAsync(target.createDisk({ ...request, content: failing }), { message: /went down/ });
  const made = await (await open(region, maps)).createDisk({ ...request, content });
  t.is(made.blocksSent, 2);
  t.is(simulator.world.place(ACCOUNT, region).snapshots.size, 1);
  const image = await target.register(made.id, TAGS);
  t.deepEqual(await target.readBack(image.id), FIRST.map);
});

test.serial('credentials of another account, and a role that is not to be had, are told of', async t => {
  const accounts = new AwsAccounts(clock);
  const wrong = await t.throwsAsync<ImageUnpackerError>(
    accounts.session({ accountId: '999900001111' }, REGION),
  );
  t.is(wrong.code, 'CONFIGURATION');
  const role = 'arn:aws:iam::999900001111:role/none';
  const denied = await t.throwsAsync<ImageUnpackerError>(
    accounts.session({ accountId: '999900001111', role }, REGION),
  );
  t.is(denied.code, 'NO_PERMISSION');
});
