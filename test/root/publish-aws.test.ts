import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { SYSTEM_CLOCK } from '../../src/cloud/aws/clock.js';
import type { ResultRow } from '../../src/publisher/row.js';
import type { Simulator } from '../simulator/index.js';
import { startSimulator } from '../simulator/index.js';
import { checkDisk } from './check-disk.js';
import { shell } from './ext4-fixture.js';
import { Shop } from './publish-fixture.js';

/*
 * Publishing to accounts of AWS as people call it: real content, a real agent, and a simulator of AWS that holds the
 * bytes. What it holds in the end is made a disk again, and read as one.
 */

const ACCOUNTS = ['111122223333', '444455556666'];
const REGIONS = ['us-east-1', 'eu-west-1'];
const callProgram = promisify(execFile);

interface Bed {
  shop: Shop;
  simulator: Simulator;
  environment: NodeJS.ProcessEnv;
}

async function bed(t: ExecutionContext): Promise<Bed> {
  const roles = ACCOUNTS.map(account => ({ arn: `arn:aws:iam::${account}:role/publisher` }));
  const timing = { complete: 0.1, readable: 0.5, refused: 1 };
  const simulator = await startSimulator({ clock: SYSTEM_CLOCK, timing, roles });
  t.teardown(() => simulator.stop());
  const shop = new Shop(t);
  const targets = ACCOUNTS.map(
    (account, at) => `{ account: "${account}", role: "${roles[at]!.arn}", regions: [${REGIONS.join(', ')}] }`,
  );
  shop.publishTo(...targets);
  return { shop, simulator, environment: { ...process.env, ...simulator.environment('999900001111') } };
}

/** Calls the publisher, while the simulator in this process answers it. */
async function call({ environment }: Bed, ...args: string[]): Promise<string> {
  return (await callProgram('bin/ami-publisher', args, { env: environment, encoding: 'utf8' })).stdout;
}

test('revisions are published to accounts and regions, and the disks there are the image, file by file', async t => {
  const it = await bed(t);
  const { shop, simulator } = it;
  const first = JSON.parse(await call(it, ...shop.publishing(1), '--json')) as ResultRow[];
  shell(
    shop.tree,
    'echo two > etc/motd; rm usr/lib/7; dd if=/dev/urandom of=usr/lib/new bs=300k count=1 status=none',
  );
  shop.build(2);
  const planned = JSON.parse(
    await call(
      it,
      ...shop
        .publishing(2)
        .with(0, 'plan')
        .filter(each => each !== '--state-dir' && each !== shop.path('state')),
      '--json',
    ),
  ) as { Action: string }[];
  t.deepEqual(
    planned.map(({ Action }) => Action),
    Array(4).fill('publish'),
  );
  const second = JSON.parse(
    await call(it, ...shop.publishing(2), '--json', '--expires-in', '1h'),
  ) as ResultRow[];
  t.is(new Set(second.map(row => row.DiskDigest)).size, 1);
  for (const [at, row] of second.entries()) {
    t.is(row.Error, undefined);
    t.is(row.ParentSnapshotId, first[at]!.SnapshotId);
    t.true(row.BlocksSent < 12, String(row.BlocksSent));
  }
  checkDisk(t, it, second[0]!);
  checkDisk(t, it, second[3]!);
  writeFileSync(shop.path('results'), JSON.stringify(second));
  const selected = ['--targets', shop.targets, shop.path('results')];
  await call(it, 'verify', '--content', ...selected);
  await call(it, 'promote', ...selected);
  t.is(
    simulator.world.place(ACCOUNTS[0]!, REGIONS[0]!).images.get(second[0]!.AmiId!)!.tags.get('Preferred'),
    'true',
  );
  await call(it, 'delete', ...selected);
  for (const place of simulator.world.places) {
    if (ACCOUNTS.includes(place.account)) t.deepEqual([place.images.size, place.snapshots.size], [1, 1]);
  }
});

test('a publisher that is killed while it sends is resumed, and sends little again', async t => {
  const it = await bed(t);
  const { shop, simulator, environment } = it;
  let puts = 0;
  const killed = new Promise<void>(resolve => {
    simulator.schedule = operation => {
      if (operation === 'PutSnapshotBlock' && ++puts === 50) resolve();
      return undefined;
    };
  });
  const child = spawn('bin/ami-publisher', [...shop.publishing(1), '--json'], {
    env: environment,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'close');
  await Promise.race([killed, ended.then(() => Promise.reject(new Error('it ended by itself')))]);
  child.kill('SIGKILL');
  await ended;
  const [{ Run: name }] = JSON.parse(await call(it, 'runs', '--state-dir', shop.path('state'), '--json')) as [
    { Run: string },
  ];
  const places = ['--store', shop.path('store'), '--state-dir', shop.path('state')];
  const rows = JSON.parse(await call(it, 'resume', name, ...places, '--json')) as ResultRow[];
  t.deepEqual(
    rows.map(({ Error }) => Error),
    Array(4).fill(undefined),
  );
  for (const place of simulator.world.places) {
    if (ACCOUNTS.includes(place.account)) t.deepEqual([place.images.size, place.snapshots.size], [1, 1]);
  }
  checkDisk(t, it, rows[1]!);
});
