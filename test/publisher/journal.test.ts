import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Journal } from '../../src/publisher/journal.js';
import { JournalledBlocks } from '../../src/publisher/sent-blocks.js';
import { temporaryDirectory } from '../temporary-directory.js';

const RUN = '20261123T060000Z-1a2b3c';
const BEGIN = { run: RUN, image: 'base/a/1', digest: '00', tags: {}, expiresAt: null, targets: [] };
const now = (): Date => new Date(0);

test('records of many targets that come at once are all written, in order', async t => {
  const directory = temporaryDirectory(t);
  const journal = await Journal.create(directory, BEGIN, now);
  const names = Array.from({ length: 300 }, (_, at) => String(at));
  const [early, late] = [names.slice(0, 200), names.slice(200)];
  const append = (target: string): Promise<void> =>
    journal.append({ record: 'intent', target, change: 'register' });
  const first = early.map(append);
  await first[0];
  // What is told to be written is there, and what comes meanwhile is written after it.
  t.regex(readFileSync(join(directory, 'runs', RUN), 'utf8'), /"target":"0".*\n/);
  await Promise.all([...first, ...late.map(append)]);
  await journal.close();
  const { records } = await Journal.open(directory, RUN, now);
  t.deepEqual(
    records.slice(1).map(record => 'target' in record && record.target),
    names,
  );
});

test('of the blocks that have arrived only few are not noted at any time', async t => {
  const noted: number[] = [];
  const journal = {
    records: [],
    note: ({ blocks }: { blocks: number[] }) => {
      noted.push(...blocks);
      return Promise.resolve();
    },
  } as unknown as Journal;
  const sent = new JournalledBlocks(journal, 'a');
  for (let count = 1; count <= 3000; count++) {
    sent.add('disk', count);
    t.true((count - noted.length) / count <= 0.02, `${String(noted.length)} of ${String(count)}`);
  }
  await sent.flush();
  t.is(noted.length, 3000);
});
