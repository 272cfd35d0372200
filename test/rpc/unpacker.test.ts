import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnSync } from 'node:child_process';
import test from 'ava';
import { ImageUnpackerError } from '../../src/image/error.js';
import type { UnpackerProgress } from '../../src/rpc/unpacker.js';
import { DEVICE, makeBlocks, mapOf, RESULT, STREAM } from './fake-unpacker.js';
import { connect, serveFake, temporaryDirectory } from './serve.js';

test('what goes in and comes out is the same on both sides', async t => {
  const { fake, where } = await serveFake(t);
  const client = await connect(t, where);
  const told: UnpackerProgress[] = [];
  const request = { image: 'os/a/1', digest: 'd1', create: true, scrub: true };
  t.deepEqual(await client.unpack(request, { onProgress: progress => told.push(progress) }), RESULT);
  t.deepEqual(told, [STREAM.progress]);
  t.deepEqual(await client.status(), {
    version: '1',
    startedAt: '2026-11-23T06:00:00.000Z',
    lastUsed: null,
    streams: [STREAM],
  });
  t.deepEqual(await client.devices(), [DEVICE]);
  t.deepEqual(await client.pin('os/a', '/dev/x'), STREAM);
  await client.forget('os/a', true);
  t.deepEqual(fake.calls, [
    `unpack ${JSON.stringify(request)}`,
    'status',
    'devices',
    'pin os/a /dev/x',
    'forget os/a true',
  ]);
});

test('an error arrives as it was, subject and all', async t => {
  const { fake, where, failures } = await serveFake(t);
  const client = await connect(t, where);
  const subject = { device: '/dev/x', needed: 5, details: ['one', 'two'] };
  const cause = new Error('of no concern to others');
  fake.failure = new ImageUnpackerError('DEVICE_TOO_SMALL', 'Too small: ü\n"x"', subject, cause);
  const calls = [
    () => client.status(),
    () => client.unpack({ image: 'a/b', digest: '', create: false }),
    () => client.capture('a', ''),
  ];
  for (const call of calls) {
    const error = await t.throwsAsync(call, { instanceOf: ImageUnpackerError, code: 'DEVICE_TOO_SMALL' });
    t.is(error.message, 'Too small: ü\n"x"');
    t.deepEqual(error.subject, subject);
    t.notRegex(JSON.stringify(error.cause), /of no concern/);
  }
  t.is(failures.length, 3);
  fake.failure = new TypeError('a fault of ours');
  await t.throwsAsync(client.status(), { code: 'INTERNAL', message: /a fault of ours/ });
});

test('an error that has very much to say still arrives', async t => {
  const { fake, where } = await serveFake(t);
  const client = await connect(t, where);
  const details = Array.from({ length: 10_000 }, (_, number) => `file ${String(number)} ${'x'.repeat(1000)}`);
  fake.failure = new ImageUnpackerError('STORE_DAMAGED', 'y'.repeat(100_000), { details });
  const error = await t.throwsAsync(client.status(), { code: 'STORE_DAMAGED' });
  t.is((error as unknown as ImageUnpackerError).subject.details?.at(-1), 'and 9960 more');
});

test('a call that is cancelled, or whose caller goes away, is cancelled where it is worked on', async t => {
  const { fake, where } = await serveFake(t);
  fake.waits = true;
  const calls: ((client: Awaited<ReturnType<typeof connect>>, signal: AbortSignal) => Promise<unknown>)[] = [
    (client, signal) => client.unpack({ image: 'a/b', digest: '', create: false }, { signal }),
    (client, signal) => client.capture('a', '', { signal }),
    (client, signal) => client.status({ signal }),
  ];
  for (const call of calls) {
    fake.calls.length = 0;
    const client = await connect(t, where);
    const controller = new AbortController();
    const called = t.throwsAsync(call(client, controller.signal), { code: 'CANCELLED' });
    while (fake.calls.length === 0) await sleep(5);
    controller.abort();
    await called;
    while (fake.calls.length === 1) await sleep(5);
    t.is(fake.calls.at(-1), 'cancelled');
  }
});

test('blocks come in the order asked, also for several who ask at once and some who leave early', async t => {
  const { fake, where } = await serveFake(t);
  const client = await connect(t, where);
  const capture = await client.capture('os/a', 'd1');
  const blocks = makeBlocks(40);
  t.deepEqual(capture.map, mapOf(blocks));
  const numbers = [5, 3, 3, 39, 0, ...Array.from({ length: 40 }, (_, number) => 39 - number)];
  const take = async (most: number): Promise<Buffer[]> => {
    const taken: Buffer[] = [];
    for await (const block of capture.blocks(numbers)) {
      if (taken.push(Buffer.from(block)) === most) break;
    }
    return taken;
  };
  const expected = numbers.map(number => blocks[number]!);
  for (const [at, taken] of (await Promise.all([take(100), take(1), take(20), take(100)])).entries()) {
    t.true(Buffer.concat(taken).equals(Buffer.concat(expected.slice(0, [100, 1, 20, 100][at]))), String(at));
  }
  t.is(fake.open, 1);
  await capture.close();
  t.is(fake.open, 0);
});

test('a block that is not what the map says is not handed out', async t => {
  const { fake, where } = await serveFake(t);
  const client = await connect(t, where);
  fake.blockList[4] = Buffer.alloc(524_288, 9);
  fake.blockList[6] = Buffer.alloc(524_288, 9);
  for (const [wrong, before] of [
    [4, 2],
    [6, 5],
  ] as const) {
    const capture = await client.capture('os/a', 'd1');
    const blocks = capture.blocks([before, wrong])[Symbol.asyncIterator]();
    t.truthy((await blocks.next()).value);
    await t.throwsAsync(blocks.next(), {
      code: 'STORE_DAMAGED',
      message: new RegExp(`Block ${String(wrong)}`),
    });
    await capture.close();
  }
  while (fake.open > 0) await sleep(5);
  t.pass();
});

test('a capture is released when its caller leaves in the middle, closes or cancels', async t => {
  const { fake, where } = await serveFake(t);
  const client = await connect(t, where);
  const left = await client.capture('os/a', 'd1');
  await left.blocks([1, 2, 3])[Symbol.asyncIterator]().next();
  await left.close();
  const controller = new AbortController();
  const stopped = await client.capture('os/a', 'd1', { signal: controller.signal });
  controller.abort();
  await t.throwsAsync(async () => stopped.blocks([1])[Symbol.asyncIterator]().next(), { code: 'CANCELLED' });
  await stopped.close();
  while (fake.open > 0) await sleep(5);
  t.pass();
});

test('requests for blocks that are not there, or for too many, are refused', async t => {
  const { where } = await serveFake(t);
  const client = await connect(t, where);
  const capture = await client.capture('os/a', 'd1');
  await t.throwsAsync(async () => capture.blocks([40])[Symbol.asyncIterator]().next(), { code: 'USAGE' });
  await capture.close();
});

test('where no agent listens it is said how to start one', async t => {
  const path = join(temporaryDirectory(t), 'socket');
  const start = new RegExp(`image-unpacker serve --listen unix:${path}`);
  await t.throwsAsync(connect(t, `unix:${path}`), { code: 'TIMEOUT', message: start });
  const { where, server } = await serveFake(t, { kind: 'unix', path });
  const client = await connect(t, where);
  await server.stop(1);
  await t.throwsAsync(client.status(), { code: 'TIMEOUT', message: start });
});

test('an agent that is being started is waited for', async t => {
  const path = join(temporaryDirectory(t), 'socket');
  const connected = connect(t, `unix:${path}`, { patience: 120 });
  await sleep(200);
  await serveFake(t, { kind: 'unix', path });
  t.truthy(await (await connected).status());
});

test('a call that outlives its agent says so', async t => {
  const { fake, where, server } = await serveFake(t);
  fake.waits = true;
  const client = await connect(t, where);
  const called = client.unpack({ image: 'a/b', digest: '', create: false });
  while (fake.calls.length === 0) await sleep(5);
  await server.stop(0);
  await t.throwsAsync(called, { code: 'TIMEOUT' });
});

test('the socket is for its owner alone, one that is left over is replaced, one in use is not', async t => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'new/socket');
  const { server } = await serveFake(t, { kind: 'unix', path });
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(statSync(join(directory, 'new')).mode & 0o777, 0o700);
  await t.throwsAsync(serveFake(t, { kind: 'unix', path }), { code: 'STATE_BUSY', message: /listens at/ });
  await server.stop(1);
  t.deepEqual(readdirSync(join(directory, 'new')), []);
  const leave = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', leave]);
  t.true(statSync(path).isSocket());
  const again = await serveFake(t, { kind: 'unix', path });
  t.truthy(await (await connect(t, again.where)).status());
  const file = join(directory, 'file');
  writeFileSync(file, 'kept');
  await t.throwsAsync(serveFake(t, { kind: 'unix', path: file }), { code: 'OUTPUT' });
});
