import test from 'ava';
import { EarlySync } from '../../src/store/local/early-sync.js';

const MIB = 1 << 20;

/** Syncs that end when they are told to. */
function syncs() {
  const begun: { directory: number; end: (failure?: Error) => void }[] = [];
  const sync = async (directory: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const end = (failure?: Error): void => {
        if (failure === undefined) resolve();
        else reject(failure);
      };
      begun.push({ directory, end });
    });
  return { begun, early: new EarlySync(sync) };
}

test('what was stored is written each time that there is much of it, one sync at a time', async t => {
  const { begun, early } = syncs();
  for (let stored = 0; stored < 63; stored++) early.stored(7, MIB);
  t.is(begun.length, 0);
  early.stored(7, MIB);
  t.is(begun[0]?.directory, 7);
  early.stored(7, 100 * MIB);
  t.is(begun.length, 1, 'one is under way');
  begun[0]!.end();
  await early.end();
  early.stored(7, MIB);
  t.is(begun.length, 2);
  begun[1]!.end();
  await early.end();
});

test('who waits for the end is told, once, that something was not written', async t => {
  const { begun, early } = syncs();
  early.stored(7, 64 * MIB);
  let hasEnded = false;
  const ended = early.end().finally(() => (hasEnded = true));
  await Promise.resolve();
  t.false(hasEnded);
  begun[0]!.end(new Error('the disk has failed'));
  await t.throwsAsync(ended, { message: 'the disk has failed' });
  await early.end();
});
