import test from 'ava';
import { AwsAccounts } from '../../../src/cloud/aws/accounts.js';
import { completeSnapshot } from '../../../src/cloud/aws/complete-snapshot.js';
import { findSnapshot, findSnapshots } from '../../../src/cloud/aws/find.js';
import { publishParameter, readParameter } from '../../../src/cloud/aws/parameters.js';
import { readSnapshot } from '../../../src/cloud/aws/read-snapshot.js';
import { deleteSnapshot } from '../../../src/cloud/aws/remove.js';
import { sendBlocks } from '../../../src/cloud/aws/send-blocks.js';
import { startSnapshot } from '../../../src/cloud/aws/start-snapshot.js';
import { MANAGED_BY } from '../../../src/cloud/aws/tags.js';
import { changedBlocks, DISK_BLOCK_SIZE } from '../../../src/image/disk-map.js';
import { ModelDisk } from '../../model/disk.js';
import type { Moto } from '../../moto.js';
import { startMoto, withMoto } from '../../moto.js';

/*
 * The calls of the AWS target as somebody else's AWS understands them: who is asked for, what is signed, how bytes and tags
 * travel. Images are not among it: moto keeps no disks of them.
 */

const ACCOUNT = '111122223333';
const REGION = 'eu-west-1';
const SIZE = 2048 * DISK_BLOCK_SIZE;
const NO_BLOCKS = ModelDisk.of({}, SIZE).map;

const trial = withMoto('publishing to AWS');

let moto: Moto | undefined;

test.after.always(() => moto?.stop());

trial('a role of another account is taken on, and a disk goes there and comes back', async t => {
  moto = await startMoto();
  Object.assign(process.env, moto.environment);
  const role = `arn:aws:iam::${ACCOUNT}:role/publisher`;
  const session = await new AwsAccounts().session({ accountId: ACCOUNT, role }, REGION);
  const disk = ModelDisk.of({ 0: 1, 5: 2, 2047: 3 }, SIZE);
  const target = `${ACCOUNT}/${REGION}`;
  const tags = { [MANAGED_BY.key]: MANAGED_BY.value, Run: 'run-1' };
  const key = { arn: undefined, isDefault: true };
  const { SnapshotId = '' } = await startSnapshot(session, {
    token: 'a',
    size: 1,
    parentId: undefined,
    key,
    tags,
    description: 'base/os/1',
    target,
  });
  const numbers = changedBlocks(disk.map, NO_BLOCKS);
  t.deepEqual(numbers, [0, 5, 2047]);
  const sent: number[] = [];
  const onSent = (number: number): void => void sent.push(number);
  await sendBlocks(session, {
    snapshotId: SnapshotId,
    numbers,
    blocks: disk.content().blocks(numbers),
    map: disk.map,
    onSent,
  });
  t.deepEqual(
    sent.sort((a, b) => a - b),
    numbers,
  );
  await completeSnapshot(session, SnapshotId, { map: disk.map, numbers }, { target });
  t.deepEqual(
    (await findSnapshots(session, { Run: 'run-1' }, {})).map(each => each.SnapshotId),
    [SnapshotId],
  );
  t.deepEqual(await findSnapshots(session, { Run: 'run-12' }, {}), []);
  t.deepEqual(await readSnapshot(session, SnapshotId, BigInt(SIZE), {}), disk.map);
  await deleteSnapshot(session, SnapshotId, {});
  await deleteSnapshot(session, SnapshotId, {});
  t.is(await findSnapshot(session, SnapshotId, {}), undefined);
  t.is(await readParameter(session, '/images/base/os/latest'), undefined);
  for (const value of ['ami-12345678', 'ami-87654321']) {
    await publishParameter(session, { name: '/images/base/os/latest', value, target });
    t.is(await readParameter(session, '/images/base/os/latest'), value);
  }
});
