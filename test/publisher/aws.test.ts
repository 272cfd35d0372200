import test from 'ava';
import type { ExecutionContext } from 'ava';
import { USUAL_SETTINGS } from '../../src/cloud/aws/settings.js';
import { diskDigest } from '../../src/image/disk-map.js';
import { listRuns } from '../../src/publisher/journal.js';
import { makeOpenTarget } from '../../src/publisher/open-target.js';
import { resume } from '../../src/publisher/resume.js';
import { rollback } from '../../src/publisher/rollback.js';
import type { ResultRow } from '../../src/publisher/row.js';
import type { AwsTarget } from '../../src/publisher/target.js';
import { verify } from '../../src/publisher/verify.js';
import { Random } from '../crash/rig/random.js';
import { fastClock } from '../simulator/clock.js';
import type { Trouble } from '../simulator/fault.js';
import type { Simulator } from '../simulator/index.js';
import { startSimulator } from '../simulator/index.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { inParts } from './seeds.js';
import { diskOf, Shop, STREAM } from './shop.js';

/*
 * Whole runs against the simulator of AWS. `AWS_FAULT_SEEDS` says how many schedules of faults are tried, and `AWS_FAULT_FIRST` the
 * seed of the first of them.
 */

const ACCOUNTS = ['111122223333', '444455556666'];
const REGIONS = ['us-east-1', 'eu-west-1'];
const SEEDS = Number(process.env['AWS_FAULT_SEEDS'] ?? 20);
const FIRST = Number(process.env['AWS_FAULT_FIRST'] ?? 1);
const role = (account: string): string => `arn:aws:iam::${account}:role/publisher`;
const clock = fastClock(2000);

interface Bed {
  simulator: Simulator;
  shop: Shop;
  targets: AwsTarget[];
}

async function bed(t: ExecutionContext): Promise<Bed> {
  const simulator = await startSimulator({
    clock,
    roles: ACCOUNTS.map(account => ({ arn: role(account), externalId: 'x' })),
  });
  t.teardown(() => simulator.stop());
  Object.assign(process.env, simulator.environment('999900001111'));
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const targets = ACCOUNTS.flatMap(account =>
    REGIONS.map((region): AwsTarget => ({
      kind: 'aws',
      name: `${account}/${region}`,
      account,
      region,
      strategy: 'direct',
      access: { accountId: account, role: role(account), externalId: 'x' },
      settings: { ...USUAL_SETTINGS, parameters: '/images' },
    })),
  );
  return { simulator, shop, targets };
}

function publishing({ shop, targets }: Bed) {
  return { targets, openTarget: makeOpenTarget(shop.store, clock) };
}

/** Publishes, and resumes until nothing fails any more, as an operator would. */
async function publishAtLast(it: Bed, leaf: number, tries = 12): Promise<ResultRow[]> {
  const { shop } = it;
  let rows = await shop.publish(leaf, publishing(it));
  for (let at = 0; at < tries && rows.some(({ Error }) => Error !== undefined); at++) {
    const run = (await listRuns(shop.stateDirectory)).at(-1);
    rows =
      run?.begin.image === `${STREAM}/${String(leaf)}`
        ? await resume(run.begin.run, { ...shop.options, openTarget: makeOpenTarget(shop.store, clock) })
        : await shop.publish(leaf, publishing(it));
  }
  return rows;
}

/** That each account and region has just these images, each with its disk, and nothing else. */
function checkPlaces(t: ExecutionContext, { simulator, targets }: Bed, leaves: readonly number[]): void {
  const { world } = simulator;
  for (const { access, region, name } of targets) {
    const place = world.place(access.accountId!, region);
    const images = [...place.images.values()];
    t.deepEqual(
      images.map(image => image.name).sort(),
      leaves.map(leaf => `${STREAM}/${String(leaf)}`),
      name,
    );
    t.is(place.snapshots.size, leaves.length, `${name}: no orphans`);
    for (const image of images) {
      const disk = diskOf(Number(image.name.split('/').at(-1)));
      const content = world.contentOf(place.snapshots.get(image.snapshotId)!);
      for (let number = 0; number * 524_288 < disk.size; number++) {
        const block = world.blocks.get(content.get(number) ?? '') ?? Buffer.alloc(524_288);
        t.true(block.equals(disk.block(number)), `${name} ${image.name} block ${String(number)}`);
      }
      t.false(image.tags.has('Unfinished'), `${name} ${image.name}`);
    }
  }
}

test.serial(
  'revisions are published to several accounts and regions, each from the one before, and once more changes nothing',
  async t => {
    const it = await bed(t);
    const first = await it.shop.publish(1, publishing(it));
    t.deepEqual(
      first.map(({ Error, BlocksSent }) => [Error, BlocksSent]),
      Array(4).fill([undefined, 4]),
    );
    t.is(new Set(first.map(({ DiskDigest }) => DiskDigest)).size, 1);
    t.is(first[0]!.DiskDigest, diskDigest(diskOf(1).map).toString('hex'));
    const second = await it.shop.publish(2, publishing(it));
    for (const [at, row] of second.entries()) {
      t.is(row.Error, undefined);
      t.is(row.ParentSnapshotId, first[at]!.SnapshotId);
      t.is(row.BlocksSent, 3);
    }
    checkPlaces(t, it, [1, 2]);
    const { simulator } = it;
    const changing = /^(Start|Put|Complete|Register|Create|Delete|Modify)/;
    const before = simulator.calls.filter(({ operation }) => changing.test(operation)).length;
    const again = await it.shop.publish(2, publishing(it));
    t.true(again.every(({ AlreadyPublished }) => AlreadyPublished));
    t.is(simulator.calls.filter(({ operation }) => changing.test(operation)).length, before);
    const verified = await verify({ results: second, ...publishing(it), content: true });
    t.deepEqual(
      verified.map(row => ('Problems' in row ? row.Problems : row)),
      Array(4).fill([]),
    );
  },
);

test.serial(
  'an account that cannot be entered is a row with the error, and the others are published',
  async t => {
    const it = await bed(t);
    const bad: AwsTarget = {
      ...it.targets[0]!,
      name: 'bad',
      access: { accountId: '777788889999', role: role('777788889999') },
    };
    const rows = await it.shop.publish(1, { ...publishing(it), targets: [bad, ...it.targets.slice(1)] });
    t.deepEqual(
      rows.map(({ ErrorCode }) => ErrorCode),
      ['NO_PERMISSION', undefined, undefined, undefined],
    );
  },
);

test.serial('what a run has made is rolled back, and nothing is left', async t => {
  const it = await bed(t);
  await it.shop.publish(1, publishing(it));
  await it.shop.publish(2, publishing(it));
  const run = (await listRuns(it.shop.stateDirectory)).at(-1)!.begin.run;
  const { stateDirectory } = it.shop;
  const rows = await rollback(run, { stateDirectory, openTarget: makeOpenTarget(it.shop.store, clock) });
  t.deepEqual(
    rows.map(({ Error }) => Error),
    Array(4).fill(undefined),
  );
  checkPlaces(t, it, [1]);
});

for (const [at, operation] of [
  'StartSnapshot',
  'PutSnapshotBlock',
  'CompleteSnapshot',
  'DescribeSnapshots',
  'RegisterImage',
  'DescribeImages',
  'PutParameter',
  'DeleteTags',
].entries()) {
  test.serial(`a publisher that is cut off from ${operation} on is resumed, or rolled back`, async t => {
    const it = await bed(t);
    await it.shop.publish(1, publishing(it));
    let gone = false;
    let skipped = 0;
    it.simulator.schedule = called => {
      if (called === operation && skipped++ >= (operation === 'DescribeImages' ? 16 : 1)) gone = true;
      return gone ? 'cut' : undefined;
    };
    const rows = await it.shop.publish(2, publishing(it));
    t.true(rows.some(({ Error }) => Error !== undefined));
    it.simulator.schedule = () => undefined;
    const run = (await listRuns(it.shop.stateDirectory)).at(-1)!.begin.run;
    const openTarget = makeOpenTarget(it.shop.store, clock);
    if (at % 2 === 0) {
      const resumed = await resume(run, { ...it.shop.options, openTarget });
      t.deepEqual(
        resumed.map(({ Error }) => Error),
        Array(4).fill(undefined),
      );
      checkPlaces(t, it, [1, 2]);
    } else {
      await rollback(run, { stateDirectory: it.shop.stateDirectory, openTarget });
      checkPlaces(t, it, [1]);
      const published = await it.shop.publish(2, publishing(it));
      t.deepEqual(
        published.map(({ Error }) => Error),
        Array(4).fill(undefined),
      );
      checkPlaces(t, it, [1, 2]);
    }
  });
}

for (const seeds of inParts(FIRST, SEEDS)) {
  test.serial(
    `whatever fails by chance, every image is there once and right in the end: ${seeds.title}`,
    async t => {
      for (let seed = seeds.first; seed < seeds.end; seed++) {
        const it = await bed(t);
        const random = new Random(seed);
        const rate = random.pick([0.05, 0.15, 0.3]);
        const troubles: Trouble[] = ['throttled', 'failed', 'cut', 'lost', 'lost'];
        let limit = 400;
        it.simulator.schedule = () =>
          limit-- > 0 && random.chance(rate) ? random.pick(troubles) : undefined;
        for (const leaf of [1, 2, 3]) {
          const rows = await publishAtLast(it, leaf);
          t.deepEqual(
            rows.map(({ Error }) => Error),
            Array(4).fill(undefined),
            `seed ${String(seed)}, image ${String(leaf)}`,
          );
        }
        checkPlaces(t, it, [1, 2, 3]);
      }
    },
  );
}
