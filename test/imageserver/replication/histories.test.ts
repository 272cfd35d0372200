import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { replicate } from '../../../src/imageserver/replication/replicate.js';
import { changeImage, withExpiry, withTags } from '../../../src/store/change-image.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import { openLocalStore } from '../../../src/store/local/store.js';
import type { Store } from '../../../src/store/store.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { build, collecting, contentOf, diskMapOf, faultsOf, observed } from './stores.js';

/*
 * Whatever happens to a source, in whatever order, and wherever replication is cut off in between: what the destination
 * shows is whole at all times, and when nothing happens any more it is what the source is.
 */

type Step =
  | { do: 'build'; name: number; texts: number[] }
  | { do: 'remove'; name: number }
  | { do: 'tag'; name: number; value: number }
  | { do: 'expire'; name: number; year: number }
  | { do: 'move'; channel: number; name: number }
  | { do: 'take away'; channel: number }
  | { do: 'map'; name: number; disk: number }
  | { do: 'replicate'; calls: number };

const name = fc.nat(3);
const channel = fc.nat(1);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('build' as const), name, texts: fc.array(fc.nat(5), { maxLength: 4 }) }),
  fc.record({ do: fc.constant('remove' as const), name }),
  fc.record({ do: fc.constant('tag' as const), name, value: fc.nat(2) }),
  fc.record({ do: fc.constant('expire' as const), name, year: fc.nat(2) }),
  fc.record({ do: fc.constant('move' as const), channel, name }),
  fc.record({ do: fc.constant('take away' as const), channel }),
  fc.record({ do: fc.constant('map' as const), name, disk: fc.nat(2) }),
  fc.record({ do: fc.constant('replicate' as const), calls: fc.nat(60) }),
);

const NAMES = ['s/a', 's/b', 't/a', 't/b'];
/** What a step may find: nothing to work on. */
const EXPECTED = new Set(['IMAGE_UNKNOWN', 'IMAGE_EXISTS', 'IMAGE_IN_USE', 'IMAGE_NAME', 'CHANNEL_UNKNOWN']);

async function act(store: Store, step: Step): Promise<void> {
  switch (step.do) {
    case 'build': {
      const texts = step.texts.map(each => `text ${String(each)}`);
      await build(store, NAMES[step.name]!, texts, { reuseName: true });
      return;
    }
    case 'remove':
      await store.remove(NAMES[step.name]!);
      return;
    case 'tag': {
      const set = new Map([['key', String(step.value)]]);
      await changeImage(store, NAMES[step.name]!, each => withTags(each, { set, remove: [] }));
      return;
    }
    case 'expire': {
      const until = `210${String(step.year)}-01-01T00:00:00.000Z`;
      await changeImage(store, NAMES[step.name]!, each => withExpiry(each, until, true));
      return;
    }
    case 'move': {
      const of = { stream: NAMES[step.name]!.slice(0, 1), name: `c${String(step.channel)}` };
      await moveChannel(store, of, NAMES[step.name]!, { movedAt: new Date() });
      return;
    }
    case 'take away':
      await moveChannel(store, { stream: 's', name: `c${String(step.channel)}` }, null, {
        movedAt: new Date(),
      });
      return;
    case 'map':
      await store.keepDiskMap((await store.image(NAMES[step.name]!)).digest, diskMapOf(String(step.disk)));
      return;
    case 'replicate':
      throw new Error('that is not done to one store');
  }
}

/** Replicates until so many calls were made of either store. */
async function replicateSome(source: Store, destination: Store, calls: number): Promise<void> {
  let left = calls;
  const cut = (): void => {
    if (left-- <= 0) throw new ImageUnpackerError('TIMEOUT', 'The connection was cut');
  };
  const ends = { source: observed(source, cut), destination: observed(destination, cut) };
  await replicate(ends, collecting(), true).catch((reason: unknown) => {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== 'TIMEOUT') throw reason;
  });
}

async function settle(source: Store, destination: Store): Promise<void> {
  for (let pass = 0; pass < 10; pass++) {
    const tally = await replicate({ source, destination }, collecting(), true);
    if (tally.changes === 0 && !tally.raced && tally.refused === 0) return;
  }
  throw new Error('it does not come to rest');
}

test('after any history the destination is what the source is, and was whole all the time', async t => {
  const root = temporaryDirectory(t);
  let number = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async steps => {
      const run = String(number++);
      const source = await openLocalStore(join(root, run, 'source'), { create: true });
      const destination = await openLocalStore(join(root, run, 'destination'), { create: true });
      try {
        for (const each of steps) {
          if (each.do === 'replicate') {
            await replicateSome(source, destination, each.calls);
            const faults = await faultsOf(destination);
            if (faults.length > 0) throw new Error(JSON.stringify(faults));
            continue;
          }
          await act(source, each).catch((reason: unknown) => {
            if (!(reason instanceof ImageUnpackerError) || !EXPECTED.has(reason.code)) throw reason;
          });
        }
        await settle(source, destination);
        t.deepEqual(await contentOf(destination), await contentOf(source));
        t.deepEqual(await faultsOf(destination), []);
      } finally {
        await destination.close();
        await source.close();
      }
    }),
    { numRuns: Number(process.env['HISTORIES'] ?? 40) },
  );
});
