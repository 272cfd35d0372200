import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import type { UnpackerClient } from '../../src/rpc/unpacker-client.js';
import { connectUnpacker } from '../../src/rpc/unpacker-client.js';
import { checkVolume } from '../../src/volume/check.js';
import { AgentFixture, directory, file, kill, unpack, until, workersOf } from '../root/agent-fixture.js';
import { run } from '../root/ext4-fixture.js';
import { Random } from './rig/random.js';
import { SEED } from './seed.js';

/* The agent and the processes that work for it, killed at their steps. */

const KILLS = 14;
/** About as many as they have. */
const STEPS = { 'unpacker/worker': 110, 'image-unpacker/main': 40 } as const;
const STREAM = 'os/a';
const trees = [
  [directory(''), directory('etc'), file('etc/hosts')],
  [directory(''), directory('etc'), file('etc/motd'), file('etc/new'), directory('var')],
] as const;

/** Connects to an agent; undefined when it ends before it listens. */
async function connect(agent: ChildProcess, socket: string): Promise<UnpackerClient | undefined> {
  const stop = new AbortController();
  const ended = once(agent, 'exit').then(() => undefined);
  const connected = connectUnpacker(`unix:${socket}`, { patience: 60, signal: stop.signal }).catch(
    () => undefined,
  );
  const client = await Promise.race([connected, ended]);
  stop.abort();
  return client;
}

/** The differences between the volume in a file and what it should be. */
async function checkFile(path: string, wanted: readonly Entry[]): Promise<unknown[]> {
  const device = run('losetup', '-f', '--show', path).trim();
  try {
    return (await checkVolume({ device, wanted })).differences;
  } finally {
    run('losetup', '-d', device);
  }
}

test.serial('an agent or a worker that is killed at any step is put right by the next one', async t => {
  t.log(`seed ${String(SEED)}`);
  const random = new Random(SEED);
  const fixture = await AgentFixture.make(t);
  const digests = [
    await fixture.image(`${STREAM}/0`, trees[0]),
    await fixture.image(`${STREAM}/1`, trees[1]),
  ];
  const first = await fixture.start();
  await unpack(first.client, `${STREAM}/0`, digests[0]!);
  t.is(await kill(first.agent, 'SIGTERM'), 0);
  const found: Record<string, number> = {};
  let there = 0;
  for (let number = 0; number < KILLS; number++) {
    const dies = random.pick(['unpacker/worker', 'unpacker/worker', 'image-unpacker/main'] as const);
    const step = random.below(STEPS[dies]);
    const about = `${dies} killed before step ${String(step)}`;
    const wanted = 1 - there;
    const modules = ['./test/crash/rig/die-at-step.ts'];
    const agent = fixture.serve({ modules, environment: { DIE_PROGRAM: dies, DIE_AT_STEP: String(step) } });
    const client = await connect(agent, fixture.socket);
    if (client !== undefined) {
      await unpack(client, `${STREAM}/${String(wanted)}`, digests[wanted]!).catch((reason: unknown) => {
        t.true(reason instanceof ImageUnpackerError, about);
      });
      await client.close();
    }
    await kill(agent, 'SIGKILL');
    await until(() => workersOf(fixture.stateDirectory).length === 0 && !fixture.attached());
    there = random.below(2);
    const again = await fixture.start();
    const { state } = (await again.client.status()).streams[0]!;
    found[state] = (found[state] ?? 0) + 1;
    t.true(['clean', 'doubtful'].includes(state), `${about}: ${state}`);
    if (state === 'doubtful')
      await t.throwsAsync(again.client.capture(STREAM, digests[wanted]!), { code: 'VOLUME_DOUBTFUL' }, about);
    const { scan } = await unpack(again.client, `${STREAM}/${String(there)}`, digests[there]!);
    t.is(scan, state === 'doubtful' ? 'repair' : 'none', about);
    t.like((await again.client.status()).streams[0], { state: 'clean', image: `${STREAM}/${String(there)}` });
    t.is(await kill(again.agent, 'SIGTERM'), 0, about);
    t.deepEqual(await checkFile(join(fixture.volumes, 'os%2Fa.raw'), trees[there]!), [], about);
  }
  t.log(JSON.stringify(found));
});
