import { spawnSync } from 'node:child_process';
import { renameSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { DiskCapture } from '../../src/rpc/unpacker.js';
import { checkVolume } from '../../src/volume/check.js';
import { AgentFixture, directory, file, kill, unpack, until, workersOf } from './agent-fixture.js';
import { attach, run } from './ext4-fixture.js';

const FILES = 160;
const VOLUME_BYTES = 512 << 20;
const small = [directory(''), file('a')];

test('an agent that is killed in the middle comes back, and its volume is repaired', async t => {
  const fixture = await AgentFixture.make(t, VOLUME_BYTES);
  const before = await fixture.image('os/a/0', small);
  const large = await fixture.largeImage('os/a/1', FILES);
  const { agent, client } = await fixture.start();
  await unpack(client, 'os/a/0', before);
  await fixture.midway(
    () => t.throwsAsync(unpack(client, 'os/a/1', large.digest), { code: 'TIMEOUT' }),
    () => kill(agent, 'SIGKILL'),
  );
  const again = await fixture.start();
  t.deepEqual(workersOf(fixture.stateDirectory), []);
  t.like((await again.client.status()).streams[0], { stream: 'os/a', state: 'doubtful' });
  await t.throwsAsync(again.client.capture('os/a', large.digest), { code: 'VOLUME_DOUBTFUL' });
  t.like(await unpack(again.client, 'os/a/1', large.digest), { scan: 'repair' });
  t.like((await again.client.status()).streams[0], { state: 'clean', image: 'os/a/1', error: null });
  t.is(await kill(again.agent, 'SIGTERM'), 0);
  const device = attach(t, join(fixture.volumes, 'os%2Fa.raw'));
  t.deepEqual(await checkVolume({ device, wanted: large.entries }), { identical: true, differences: [] });
});

test('a worker that is killed takes nothing with it', async t => {
  const fixture = await AgentFixture.make(t, VOLUME_BYTES);
  const before = await fixture.image('os/a/0', small);
  const large = await fixture.largeImage('os/a/1', FILES);
  const other = await fixture.image('os/b/1', small);
  const { client } = await fixture.start();
  await unpack(client, 'os/a/0', before);
  await fixture.midway(
    () =>
      t.throwsAsync(unpack(client, 'os/a/1', large.digest), { code: 'VOLUME_DOUBTFUL', message: /SIGKILL/ }),
    () => {
      for (const pid of workersOf(fixture.stateDirectory)) process.kill(pid, 'SIGKILL');
    },
  );
  t.like((await client.status()).streams[0], { state: 'doubtful', error: { code: 'VOLUME_DOUBTFUL' } });
  await unpack(client, 'os/b/1', other);
  t.like(await unpack(client, 'os/a/1', large.digest), { scan: 'repair' });
  t.like((await client.status()).streams[0], { state: 'clean', error: null });
});

test('work whose caller has enough is stopped, and goes on the next time', async t => {
  const fixture = await AgentFixture.make(t, VOLUME_BYTES);
  const before = await fixture.image('os/a/0', small);
  const large = await fixture.largeImage('os/a/1', FILES);
  const { client } = await fixture.start();
  await unpack(client, 'os/a/0', before);
  const controller = new AbortController();
  const request = { image: 'os/a/1', digest: large.digest, create: false };
  await fixture.midway(
    () => t.throwsAsync(client.unpack(request, { signal: controller.signal }), { code: 'CANCELLED' }),
    () => {
      controller.abort();
    },
  );
  await until(() => workersOf(fixture.stateDirectory).length === 0);
  t.false(fixture.attached());
  await until(async () => (await client.status()).streams[0]?.state === 'doubtful');
  await unpack(client, 'os/a/1', large.digest);
  t.like((await client.status()).streams[0], { state: 'clean' });
});

test('an agent that is told to stop stops its work, and ends well', async t => {
  const fixture = await AgentFixture.make(t, VOLUME_BYTES);
  const before = await fixture.image('os/a/0', small);
  const large = await fixture.largeImage('os/a/1', FILES);
  const { agent, client } = await fixture.start();
  await unpack(client, 'os/a/0', before);
  await fixture.midway(
    () =>
      t.throwsAsync(unpack(client, 'os/a/1', large.digest), { code: 'TIMEOUT', message: /stopped|No agent/ }),
    () => agent.kill('SIGTERM'),
  );
  t.is(await kill(agent, 'SIGTERM'), 0);
  t.deepEqual(workersOf(fixture.stateDirectory), []);
  t.false(fixture.attached());
});

test('a device that is not there keeps nothing from starting', async t => {
  const fixture = await AgentFixture.make(t);
  const one = await fixture.image('os/a/1', small);
  const other = await fixture.image('os/b/1', small);
  const device = fixture.device();
  const before = await fixture.start();
  await before.client.pin('os/a', device);
  await unpack(before.client, 'os/a/1', one);
  await unpack(before.client, 'os/b/1', other);
  await kill(before.agent, 'SIGTERM');
  const backing = run('losetup', '--noheadings', '--output', 'BACK-FILE', device).trim();
  run('losetup', '-d', device);
  const volume = join(fixture.volumes, 'os%2Fb.raw');
  renameSync(volume, `${volume}.away`);
  const { client } = await fixture.start();
  const states = async (): Promise<string[]> => (await client.status()).streams.map(({ state }) => state);
  t.deepEqual(await states(), ['absent', 'absent']);
  await t.throwsAsync(unpack(client, 'os/b/1', other), {
    code: 'DEVICE_MISSING',
    message: /forget the stream/,
  });
  await t.throwsAsync(unpack(client, 'os/a/1', one), { message: new RegExp(device) });
  renameSync(`${volume}.away`, volume);
  run('losetup', device, backing);
  t.deepEqual(await states(), ['clean', 'clean']);
  t.like(await unpack(client, 'os/a/1', one), { bytesWritten: 0 });
  run('losetup', '-d', device);
  truncateSync(backing, 200 << 20);
  run('losetup', device, backing);
  const larger = await unpack(client, 'os/a/1', one);
  t.deepEqual([larger.scan, larger.entries.changed], ['none', 0]);
  t.is((await unpack(client, 'os/a/1', one)).bytesWritten, 0);
  run('losetup', '-d', device);
  truncateSync(backing, 64 << 20);
  run('losetup', device, backing);
  await t.throwsAsync(unpack(client, 'os/a/1', one), { code: 'VOLUME_DIFFERENT', message: /pinned with/ });
});

test('two agents, or an agent and a command, do not work with one state directory', async t => {
  const fixture = await AgentFixture.make(t);
  const { client } = await fixture.start();
  const program = ['--import=tsx', 'src/cli/image-unpacker/main.ts'];
  const calls = [
    ['serve', '--listen', `unix:${fixture.directory}/other`],
    ['capture', '--device', fixture.device(), '--out', join(fixture.directory, 'disk')],
  ];
  for (const call of calls) {
    const parameters = [...program, ...call, '--state-dir', fixture.stateDirectory, '--json'];
    const { status, stdout } = spawnSync(process.execPath, parameters, { encoding: 'utf8' });
    t.is(status, 1);
    t.regex(stdout, /STATE_BUSY/);
  }
  t.truthy(await client.status());
});

test('it is answered how things stand while four volumes are worked on', async t => {
  const fixture = await AgentFixture.make(t, VOLUME_BYTES);
  const streams = ['a', 'b', 'c', 'd'];
  const images: { image: string; digest: string }[] = [];
  for (const name of streams) {
    const image = `os/${name}/1`;
    images.push({ image, digest: (await fixture.largeImage(image, FILES)).digest });
  }
  const { client } = await fixture.start();
  const finished = new AbortController();
  const all = Promise.all(images.map(({ image, digest }) => unpack(client, image, digest))).finally(() => {
    finished.abort();
  });
  const latencies: number[] = [];
  let most = 0;
  while (!finished.signal.aborted) {
    const began = performance.now();
    const status = await client.status();
    latencies.push(performance.now() - began);
    most = Math.max(most, status.streams.filter(({ state }) => state === 'busy').length);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  await all;
  latencies.sort((a, b) => a - b);
  const at = (part: number): string => latencies[Math.floor((latencies.length - 1) * part)]!.toFixed(0);
  t.log(`${String(latencies.length)} answers, median ${at(0.5)} ms, longest ${at(1)} ms`);
  t.is(most, 4);
  t.true(Number(at(0.5)) < 1000);
});

test('work on one stream is done one after another, and who waits may give up', async t => {
  const fixture = await AgentFixture.make(t, VOLUME_BYTES);
  const before = await fixture.image('os/a/0', small);
  const large = await fixture.largeImage('os/a/1', FILES);
  const { client } = await fixture.start();
  await unpack(client, 'os/a/0', before);
  let captured: Promise<DiskCapture> | undefined;
  await fixture.midway(
    () => unpack(client, 'os/a/1', large.digest),
    async () => {
      const controller = new AbortController();
      const given = client.capture('os/a', large.digest, { signal: controller.signal });
      captured = client.capture('os/a', large.digest);
      controller.abort();
      await t.throwsAsync(given, { code: 'CANCELLED' });
    },
  );
  await (await captured)?.close();
});
