import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { AwsClients } from '../../../src/cloud/aws/clients.js';
import { readSnapshot } from '../../../src/cloud/aws/read-snapshot.js';
import { AwsSession } from '../../../src/cloud/aws/session.js';
import { DISK_BLOCK_SIZE, diskDigest } from '../../../src/image/disk-map.js';
import { ModelDisk } from '../../model/disk.js';
import { fastClock } from '../../simulator/clock.js';

const DISK = ModelDisk.of({ 0: 1, 2: 2 }, 4 * DISK_BLOCK_SIZE);

type Send = (name: string, input: { BlockIndex?: number }) => Promise<unknown>;

function sessionOf(send: Send): AwsSession {
  return new AwsSession({ send } as unknown as AwsClients, fastClock(1000), 'account/us-east-1');
}

/** A session of an account whose only snapshot is the disk, block by block as `read` gives it. */
function snapshotSession(read: (block: Buffer) => Promise<Uint8Array>): AwsSession {
  const Blocks = [0, 2].map(BlockIndex => ({ BlockIndex, BlockToken: 'a token' }));
  return sessionOf((name, { BlockIndex = 0 }) => {
    if (name === 'ListSnapshotBlocks') return Promise.resolve({ Blocks });
    const block = DISK.block(BlockIndex);
    return Promise.resolve({ BlockData: { transformToByteArray: () => read(block) } });
  });
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** The code of what a call fails with, or that it goes on for too long. */
function codeSoon(call: Promise<unknown>): Promise<unknown> {
  return Promise.race([
    call.catch((reason: unknown) => (reason as { code: string }).code),
    sleep(5000, 'it goes on'),
  ]);
}

test('a call that heeds no signal, as getting credentials does not, ends when it is called off', async t => {
  const stop = new AbortController();
  const call = sessionOf(never).call('GetCallerIdentity', {}, { signal: stop.signal });
  setImmediate(() => stop.abort());
  t.is(await codeSoon(call), 'CANCELLED');
});

test('a block that does not come after its answer ends when it is called off', async t => {
  const stop = new AbortController();
  const size = BigInt(DISK.size);
  const read = readSnapshot(snapshotSession(never), 'snap-1', size, { signal: stop.signal });
  setImmediate(() => stop.abort());
  t.is(await codeSoon(read), 'CANCELLED');
});

test('a block that is cut off after its answer is asked for again', async t => {
  let cut = false;
  const session = snapshotSession(block => {
    if (cut) return Promise.resolve(block);
    cut = true;
    return Promise.reject(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }));
  });
  const map = await readSnapshot(session, 'snap-1', BigInt(DISK.size), {});
  t.is(diskDigest(map).toString('hex'), diskDigest(DISK.map).toString('hex'));
});

test('as many calls at once as there are targets listen to one signal', async t => {
  const warnings: string[] = [];
  const note = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  const { signal } = new AbortController();
  const session = sessionOf(() => sleep(20, {}));
  await Promise.all(Array.from({ length: 20 }, () => session.call('DescribeImages', {}, { signal })));
  t.deepEqual(warnings, []);
});
