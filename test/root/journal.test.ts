import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Journal } from '../../src/publisher/journal.js';
import { makeSmall } from './small-file-system.js';

const RUN = '20261123T060000Z-1a2b3c';
const BEGIN = { run: RUN, image: 'base/a/1', digest: '00', tags: {}, expiresAt: null, targets: [] };
const now = (): Date => new Date(0);

test('what a full disk cut short is no part of the next record, once there is room', async t => {
  const small = makeSmall(t, 'size=64k');
  const journal = await Journal.create(small, BEGIN, now);
  const ballast = join(small, 'ballast');
  const append = (target: string): Promise<void> =>
    journal.append({ record: 'intent', target, change: 'register' });
  await append('before');
  // All the room but for two pages, so that a long line does not fit as a whole.
  t.throws(() => writeFileSync(ballast, Buffer.alloc(1 << 20)), { code: 'ENOSPC' });
  writeFileSync(ballast, Buffer.alloc(32 << 10));
  await t.throwsAsync(append('x'.repeat(100_000)), { code: 'NO_SPACE' });
  rmSync(ballast);
  await append('after');
  await journal.close();
  t.deepEqual(readdirSync(join(small, 'runs')), [RUN]);
  const opened = await Journal.open(small, RUN, now);
  const targets = opened.records.slice(1).map(record => 'target' in record && record.target);
  await opened.close();
  t.deepEqual(targets, ['before', 'after']);
});
