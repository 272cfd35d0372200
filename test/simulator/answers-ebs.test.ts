import test from 'ava';
import type { Answer } from './ask.js';
import {
  ACCOUNT,
  BLOCK,
  ask,
  complete,
  ec2,
  idOf,
  pass,
  put,
  reasonOf,
  sha256,
  start,
  startSnapshot,
  whole,
} from './ask.js';

/*
 * What the simulator answers, in the words and bytes that AWS was seen to answer with. No publisher's code, and no SDK, has
 * a part in it, so that the two cannot agree on an error.
 */

test('a token answers for ever as it did first, and not to another request', async t => {
  const simulator = await start(t);
  const first = await startSnapshot(simulator, {});
  t.is(first.status, 201);
  t.like(JSON.parse(first.body), {
    Status: 'pending',
    BlockSize: 524_288,
    OwnerId: ACCOUNT,
    ParentSnapshotId: null,
  });
  await complete(simulator, idOf(first), 0);
  await pass(simulator, 5);
  t.deepEqual(JSON.parse((await startSnapshot(simulator, {})).body), JSON.parse(first.body));
  const other = await startSnapshot(simulator, { Description: 'other' });
  t.is(other.status, 409);
  t.regex(other.headers.get('x-amzn-errortype') ?? '', /^ConflictException:/);
});

test('a parent must be known as complete, which EC2 knows long before the direct API', async t => {
  const simulator = await start(t);
  const pending = idOf(await startSnapshot(simulator, {}));
  const of = (ParentSnapshotId: string, ClientToken: string) =>
    startSnapshot(simulator, { ParentSnapshotId, ClientToken });
  const early = await of(pending, 'b');
  t.deepEqual([early.status, reasonOf(early)], [400, 'INVALID_SNAPSHOT_ID']);
  t.regex(early.body, /Source snapshot \(snap-\w+\) is not complete/);
  const id = await whole(simulator, 'c', false);
  const { body } = await ec2(simulator, 'DescribeSnapshots', { 'SnapshotId.1': id });
  t.regex(body, /<status>completed<\/status>/);
  t.is(reasonOf(await of(id, 'd')), 'INVALID_SNAPSHOT_ID');
  const unread = await ask(simulator, 'ebs', `/snapshots/${id}/blocks`, { method: 'GET' });
  t.deepEqual([unread.status, reasonOf(unread)], [404, 'SNAPSHOT_NOT_FOUND']);
  await pass(simulator, 60);
  t.is((await of(id, 'e')).status, 201);
  const absent = await of('snap-0ffffffffffffffff', 'f');
  t.deepEqual([absent.status, reasonOf(absent)], [404, 'SNAPSHOT_NOT_FOUND']);
  const both = await startSnapshot(simulator, { ParentSnapshotId: id, Encrypted: true, ClientToken: 'g' });
  t.is(both.status, 400);
});

test('a block is checked: its bytes, its length, its place, and the state of its snapshot', async t => {
  const simulator = await start(t);
  const id = idOf(await startSnapshot(simulator, {}));
  t.is((await put(simulator, id, 0)).status, 201);
  t.is((await put(simulator, id, 0)).status, 201);
  const cases: [answer: Promise<Answer>, status: number, reason: string | undefined][] = [
    [
      put(simulator, id, 1, BLOCK, { 'x-amz-checksum': sha256(Buffer.alloc(1)).toString('base64') }),
      403,
      undefined,
    ],
    [put(simulator, id, 1, BLOCK.subarray(1)), 400, 'INVALID_PARAMETER_VALUE'],
    [put(simulator, id, 1, BLOCK, { 'x-amz-data-length': '1' }), 400, 'INVALID_BLOCK'],
    [put(simulator, id, 2048), 400, 'INVALID_BLOCK'],
    [put(simulator, 'snap-0ffffffffffffffff', 0), 404, 'SNAPSHOT_NOT_FOUND'],
  ];
  for (const [answer, status, reason] of cases) {
    const given = await answer;
    t.deepEqual([given.status, reasonOf(given)], [status, reason]);
  }
  await complete(simulator, id, 1);
  t.is(reasonOf(await put(simulator, id, 1)), 'INVALID_SNAPSHOT_ID');
});

test('a wrong count or checksum is taken at first, and told of by EC2 later; once more heals nothing', async t => {
  const simulator = await start(t);
  const good = sha256(sha256(BLOCK)).toString('base64');
  for (const [token, count, checksum, message] of [
    ['a', 2, good, 'Changed blocks count mismatch for snapshot'],
    ['b', 1, sha256(Buffer.alloc(0)).toString('base64'), 'Checksum mismatch for snapshot'],
    ['c', 1, good, undefined],
  ] as const) {
    const id = idOf(await startSnapshot(simulator, { ClientToken: token }));
    await put(simulator, id, 5);
    const taken = await complete(simulator, id, count, checksum);
    t.deepEqual([taken.status, JSON.parse(taken.body)], [202, { Status: 'pending' }]);
    await pass(simulator, 30);
    const { body } = await ec2(simulator, 'DescribeSnapshots', { 'SnapshotId.1': id });
    t.is(/<statusMessage>(.*)<\/statusMessage>/.exec(body)?.[1], message);
    const status = message === undefined ? 'completed' : 'error';
    t.true(body.includes(`<status>${status}</status>`));
    t.deepEqual(JSON.parse((await complete(simulator, id, 1, good)).body), { Status: status });
  }
});

test('a child shows its parent’s blocks, also when that is deleted; its zeros hide them', async t => {
  const simulator = await start(t);
  const parent = await whole(simulator);
  const child = idOf(await startSnapshot(simulator, { ParentSnapshotId: parent, ClientToken: 'child' }));
  await put(simulator, child, 3, Buffer.alloc(524_288));
  await complete(simulator, child, 1);
  await pass(simulator, 60);
  t.is((await ec2(simulator, 'DeleteSnapshot', { SnapshotId: parent })).status, 200);
  const { body } = await ask(simulator, 'ebs', `/snapshots/${child}/blocks`, { method: 'GET' });
  const { Blocks, NextToken } = JSON.parse(body) as {
    Blocks: { BlockIndex: number; BlockToken: string }[];
    NextToken: string | null;
  };
  t.deepEqual(
    Blocks.map(({ BlockIndex }) => BlockIndex),
    [0, 3],
  );
  t.is(NextToken, null);
  const read = await ask(
    simulator,
    'ebs',
    `/snapshots/${child}/blocks/0?blockToken=${Blocks[0]!.BlockToken}`,
    {
      method: 'GET',
    },
  );
  t.is(read.headers.get('x-amz-checksum'), sha256(BLOCK).toString('base64'));
  const wrong = await ask(
    simulator,
    'ebs',
    `/snapshots/${child}/blocks/3?blockToken=${Blocks[0]!.BlockToken}`,
    {
      method: 'GET',
    },
  );
  t.deepEqual([wrong.status, reasonOf(wrong)], [400, 'INVALID_BLOCK_TOKEN']);
});
