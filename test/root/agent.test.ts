import { existsSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { changedBlocks, decodeDiskMap, diskDigest } from '../../src/image/disk-map.js';
import type { UnpackerProgress } from '../../src/rpc/unpacker.js';
import { checkVolume } from '../../src/volume/check.js';
import { AgentFixture, directory, file, kill, readAll, unpack } from './agent-fixture.js';
import { attach, run } from './ext4-fixture.js';

const first = [directory(''), directory('etc'), file('etc/hosts')];
const second = [directory(''), directory('etc'), file('etc/hosts'), file('etc/motd')];

test('a stream gets a volume, which becomes its images, and is captured as by the command', async t => {
  const fixture = await AgentFixture.make(t);
  const one = await fixture.image('os/a/1', first);
  const two = await fixture.image('os/a/2', second);
  const { agent, client } = await fixture.start();
  const told: UnpackerProgress[] = [];
  const request = { image: 'os/a/1', digest: one, create: true };
  const made = await client.unpack(request, { onProgress: progress => told.push(progress) });
  t.like(made, { image: 'os/a/1', digest: one, from: null, scan: 'none' });
  t.true(told.length > 0 && told.every(({ stream }) => stream === 'os/a'));
  const again = await unpack(client, 'os/a/1', one);
  t.like(again, { from: 'os/a/1', bytesWritten: 0, blocksWritten: 0 });
  const changed = await unpack(client, 'os/a/2', two);
  t.like(changed, { from: 'os/a/1', entries: { added: 1, removed: 0, changed: 0, unchanged: 3 } });
  const volume = join(fixture.volumes, 'os%2Fa.raw');
  const { streams } = await client.status();
  t.like(streams[0], {
    stream: 'os/a',
    state: 'clean',
    image: 'os/a/2',
    digest: two,
    device: volume,
    error: null,
  });
  t.is(streams[0]!.size, statSync(volume).size);

  const capture = await client.capture('os/a', two);
  const disk = await readAll(capture);
  t.is((await client.status()).streams[0]!.state, 'busy');
  await capture.close();
  t.is((await client.status()).streams[0]!.state, 'clean');
  t.is(await kill(agent, 'SIGTERM'), 0);
  t.false(existsSync(fixture.socket));
  t.false(fixture.attached());

  const device = attach(t, volume);
  t.deepEqual(await checkVolume({ device, wanted: second }), { identical: true, differences: [] });
  const [out, map] = [join(fixture.directory, 'disk'), join(fixture.directory, 'map')];
  const program = ['--import=tsx', 'src/cli/image-unpacker/main.ts', 'capture', '--device', device];
  run(process.execPath, ...program, '--state-dir', fixture.stateDirectory, '--out', out, '--map', map);
  t.true(readFileSync(out).equals(disk));
  const expected = decodeDiskMap(readFileSync(map));
  t.deepEqual(changedBlocks(capture.map, expected), []);
  t.deepEqual(diskDigest(capture.map), diskDigest(expected));
});

test('only what was asked for is captured, and only when it is there', async t => {
  const fixture = await AgentFixture.make(t);
  const one = await fixture.image('os/a/1', first);
  const two = await fixture.image('os/a/2', second);
  const { client } = await fixture.start();
  await t.throwsAsync(client.capture('os/a', one), {
    code: 'VOLUME_UNKNOWN',
    message: /image-unpacker pin os\/a/,
  });
  await unpack(client, 'os/a/1', one);
  await t.throwsAsync(client.capture('os/a', two), { code: 'VOLUME_DIFFERENT', message: /os\/a\/1/ });
  await t.throwsAsync(client.capture('os/a', 'no digest'), { code: 'USAGE' });
  await t.throwsAsync(unpack(client, 'os/a/1', two), { code: 'IMAGE_UNKNOWN', message: /another one/ });
  await t.throwsAsync(unpack(client, 'os/b/1', one), { code: 'IMAGE_UNKNOWN' });
  await t.throwsAsync(unpack(client, 'os', one), { code: 'IMAGE_NAME' });
  const { streams } = await client.status();
  t.deepEqual(
    streams.map(({ stream, state, error }) => [stream, state, error?.code]),
    [['os/a', 'clean', 'IMAGE_UNKNOWN']],
  );
  t.deepEqual(readdirSync(fixture.volumes), ['os%2Fa.raw']);
  await unpack(client, 'os/a/1', one);
  t.is((await client.status()).streams[0]!.error, null);
});

test('a stream is pinned to a device, which is formatted only if it is blank and that was allowed', async t => {
  const fixture = await AgentFixture.make(t);
  const one = await fixture.image('os/a/1', first);
  const other = await fixture.image('os/b/1', first);
  const [device, foreign] = [fixture.device(), fixture.device()];
  run('mkfs.ext4', '-q', foreign);
  const { client } = await fixture.start();
  t.like(await client.pin('os/a', device), { stream: 'os/a', state: 'empty', device });
  t.like(await client.pin('os/a', device), { state: 'empty' }, 'once more is no matter');
  t.like(
    (await client.devices()).find(({ path }) => path === device),
    { id: device, stream: 'os/a', unusable: null },
  );
  await t.throwsAsync(client.pin('os/b', device), {
    code: 'DEVICE_IN_USE',
    message: /pinned to the stream os\/a/,
  });
  await t.throwsAsync(client.pin('os/a', foreign), {
    code: 'VOLUME_DIFFERENT',
    message: /forget the stream/,
  });
  await t.throwsAsync(client.unpack({ image: 'os/a/1', digest: one, create: false }), {
    code: 'DEVICE_BLANK',
  });
  t.like(await unpack(client, 'os/a/1', one), { from: null });
  t.like((await client.status()).streams[0], { state: 'clean', image: 'os/a/1', device });
  await client.pin('os/b', foreign);
  await t.throwsAsync(unpack(client, 'os/b/1', other), { code: 'DEVICE_FOREIGN', message: /wipefs/ });
  run('mkdir', join(fixture.directory, 'mnt'));
  run('mount', foreign, join(fixture.directory, 'mnt'));
  t.teardown(() => run('umount', join(fixture.directory, 'mnt')));
  await t.throwsAsync(unpack(client, 'os/b/1', other), { code: 'DEVICE_IN_USE', message: /mounted at/ });
  t.regex((await client.devices()).find(({ path }) => path === foreign)!.unusable!, /mounted at/);
});

test('what cannot be a volume is not pinned', async t => {
  const fixture = await AgentFixture.make(t);
  const { client } = await fixture.start();
  const own = run('findmnt', '-n', '-o', 'SOURCE', '/').trim();
  const refusals: [device: string, code: string][] = [
    [join(fixture.directory, 'none'), 'DEVICE_MISSING'],
    ['vol0123456789', 'DEVICE_MISSING'],
    ['../sda', 'DEVICE_MISSING'],
    [join(fixture.directory, 'agent.yaml'), 'DEVICE_NOT_BLOCK'],
    ...(own.startsWith('/dev/') ? [[own, 'DEVICE_SYSTEM'] as [string, string]] : []),
  ];
  for (const [device, code] of refusals) await t.throwsAsync(client.pin('os/a', device), { code }, device);
  await t.throwsAsync(client.pin('../a', fixture.device()), { code: 'IMAGE_NAME' });
  t.deepEqual((await client.status()).streams, []);
});

test('a stream whose volume is not there is absent, and says why until it is back', async t => {
  const fixture = await AgentFixture.make(t);
  const one = await fixture.image('os/a/1', first);
  const { client } = await fixture.start();
  await unpack(client, 'os/a/1', one);
  const volume = join(fixture.volumes, 'os%2Fa.raw');
  renameSync(volume, `${volume}.away`);
  const [absent] = (await client.status()).streams;
  t.like(absent, { state: 'absent', device: volume, size: null, error: { code: 'DEVICE_MISSING' } });
  t.regex(absent!.error!.message, /mount what it was on, or forget the stream/);
  renameSync(`${volume}.away`, volume);
  t.like((await client.status()).streams[0], { state: 'clean', error: null });
});

test('a stream that is forgotten leaves its volume, unless that is to go', async t => {
  const fixture = await AgentFixture.make(t);
  const one = await fixture.image('os/a/1', first);
  const { client } = await fixture.start();
  await unpack(client, 'os/a/1', one);
  await client.forget('os/a', false);
  t.deepEqual((await client.status()).streams, []);
  await t.throwsAsync(client.forget('os/a', false), { code: 'VOLUME_UNKNOWN' });
  t.like(await unpack(client, 'os/a/1', one), { from: 'os/a/1', bytesWritten: 0 });
  await client.forget('os/a', true);
  t.deepEqual(readdirSync(fixture.volumes), []);
  t.deepEqual(
    readdirSync(join(fixture.stateDirectory, 'volumes')).flatMap(uuid => records(fixture, uuid)),
    [],
  );
  t.like(await unpack(client, 'os/a/1', one), { from: null });
});

function records({ stateDirectory }: AgentFixture, uuid: string): string[] {
  return readdirSync(join(stateDirectory, 'volumes', uuid));
}
