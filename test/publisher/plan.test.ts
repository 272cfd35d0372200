import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { READY_SECONDS } from '../../src/cloud/aws/choose-parent.js';
import type { AwsImageSettings } from '../../src/cloud/aws/settings.js';
import { USUAL_SETTINGS } from '../../src/cloud/aws/settings.js';
import { showPlan } from '../../src/cli/ami-publisher/show-plan.js';
import type { Outlook } from '../../src/publisher/estimate.js';
import { estimateRun, soonest } from '../../src/publisher/estimate.js';
import { makeOpenTarget } from '../../src/publisher/open-target.js';
import type { PlanRow } from '../../src/publisher/plan.js';
import { plan } from '../../src/publisher/plan.js';
import { parseRates, pricesIn, readRates, USUAL_RATES } from '../../src/publisher/rates.js';
import type { AwsTarget } from '../../src/publisher/target.js';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { fastClock } from '../simulator/clock.js';
import { startSimulator } from '../simulator/index.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { Shop, STREAM } from './shop.js';

const ACCOUNT = '111122223333';
const clock = fastClock(2000);
const CHANGING = /^(Start|Put|Complete|Register|Create|Delete|Deregister|Modify|Enable)/;

async function bed(t: ExecutionContext, settings: Partial<AwsImageSettings> = {}) {
  const simulator = await startSimulator({ clock });
  t.teardown(() => simulator.stop());
  Object.assign(process.env, simulator.environment(ACCOUNT));
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const targets = ['us-east-1', 'eu-west-1'].map((region): AwsTarget => ({
    kind: 'aws',
    name: `main/${region}`,
    account: 'main',
    region,
    strategy: 'direct',
    access: { accountId: ACCOUNT },
    settings: { ...USUAL_SETTINGS, parameters: '/images', ...settings },
  }));
  const publishing = { targets, openTarget: makeOpenTarget(shop.store, clock) };
  const ask = (leaf: number, more: object = {}): Promise<PlanRow[]> =>
    plan({ image: `${STREAM}/${String(leaf)}`, store: shop.store, ...publishing, ...more });
  return { simulator, shop, publishing, ask };
}

/** All that there is in the simulated accounts. */
function contentOf({ world }: Awaited<ReturnType<typeof startSimulator>>): string {
  return JSON.stringify(
    world.places.map(({ images, snapshots, parameters }) => [
      [...images.values()].map(({ tags, launchPermissions, ...image }) => ({
        ...image,
        tags: [...tags],
        launchPermissions: [...launchPermissions],
      })),
      [...snapshots.values()].map(({ tags, blocks, parent, ...snapshot }) => ({
        ...snapshot,
        tags: [...tags],
        blocks: [...blocks],
        parent: parent?.id,
      })),
      [...parameters],
    ]),
  );
}

function stateOf(rows: readonly PlanRow[], at: number, check: string): string | undefined {
  return rows[at]!.Preflight?.find(each => each.check === check)?.state;
}

test.serial('a plan tells parent, blocks, time and cost for each target, and changes nothing', async t => {
  const { simulator, shop, publishing, ask } = await bed(t);
  const first = await ask(1);
  for (const row of first) {
    t.like(row, { Action: 'publish', ParentSnapshotId: undefined, EstimatedFrom: 'content' });
    t.true(row.EstimatedBlocks! >= 1);
    t.deepEqual(Object.keys(row.EstimatedStages!), ['unpack', 'capture', 'wait', 'disk', 'register']);
  }
  const published = await shop.publish(1, publishing);
  const before = contentOf(simulator);
  const calls = simulator.calls.length;
  const [row] = await ask(2);
  t.like(row, { Action: 'publish', ParentImage: `${STREAM}/1`, ParentSnapshotId: published[0]!.SnapshotId });
  t.like((await ask(1))[0], { Action: 'none', AlreadyPublished: true, EstimatedBlocks: undefined });
  t.is(contentOf(simulator), before);
  t.deepEqual(
    simulator.calls.slice(calls).filter(({ operation }) => CHANGING.test(operation)),
    [],
  );
});

test.serial('where the image is published elsewhere already, its disk tells the blocks exactly', async t => {
  const { shop, publishing, ask } = await bed(t);
  await shop.publish(1, publishing);
  await shop.publish(2, { ...publishing, targets: publishing.targets.slice(0, 1) });
  const planned = await ask(2);
  t.like(planned[0], { Action: 'none' });
  t.like(planned[1], { Action: 'publish', EstimatedFrom: 'disk', EstimatedBlocks: 3 });
  const rows = await shop.publish(2, publishing);
  t.is(rows[1]!.BlocksSent, planned[1]!.EstimatedBlocks!);
});

test.serial(
  'a parent is foreseen only where its snapshot is there, its key the one and its map kept',
  async t => {
    const { simulator, shop, publishing, ask } = await bed(t);
    await shop.publish(1, publishing);
    const place = simulator.world.place(ACCOUNT, 'us-east-1');
    const [snapshot] = place.snapshots.values();
    const { keyArn } = snapshot!;
    snapshot!.keyArn = 'arn:aws:kms:us-east-1:111122223333:key/other';
    t.deepEqual(
      (await ask(2)).map(({ ParentImage }) => ParentImage),
      [undefined, `${STREAM}/1`],
    );
    snapshot!.keyArn = keyArn;
    t.is((await ask(2))[0]!.ParentImage, `${STREAM}/1`);
    t.is((await ask(2, { openTarget: makeOpenTarget(undefined, clock) }))[0]!.ParentImage, undefined);
  },
);

test.serial('a preflight proves what can be proved, says what cannot, and changes nothing', async t => {
  const { simulator, shop, publishing, ask } = await bed(t, { deprecateAfter: 86_400 });
  const blank = await ask(1, { preflight: true });
  t.is(blank[0]!.Action, 'publish');
  t.is(stateOf(blank, 0, 'DescribeImages'), 'ok');
  t.is(stateOf(blank, 0, 'StartSnapshot'), 'likely');
  t.is(stateOf(blank, 0, 'RegisterImage'), 'unknown');
  t.is(stateOf(blank, 0, 'PutParameter'), 'unknown');
  await shop.publish(1, publishing);
  const before = contentOf(simulator);
  const rows = await ask(2, { preflight: true });
  const states = new Map(rows[0]!.Preflight!.map(({ check, state }) => [check, state]));
  t.deepEqual(
    [...states].filter(([, state]) => state !== 'ok'),
    [['StartSnapshot', 'likely']],
  );
  for (const call of [
    'PutSnapshotBlock',
    'CompleteSnapshot',
    'RegisterImage',
    'EnableImageDeprecation',
    'images',
  ])
    t.true(states.has(call), call);
  t.is(contentOf(simulator), before);
});

for (const [operation, reaches] of [
  ['StartSnapshot', 1],
  ['PutSnapshotBlock', 2],
  ['CompleteSnapshot', 2],
  ['RegisterImage', 2],
  ['DeleteTags', 2],
  ['DeregisterImage', 2],
  ['GetParameter', 1],
  ['PutParameter', 2],
] as const) {
  test.serial(`a preflight finds that ${operation} is not allowed, in that target only`, async t => {
    const { simulator, shop, publishing, ask } = await bed(t);
    if (reaches === 2) await shop.publish(1, publishing);
    simulator.denies = (_, region, called) => region === 'eu-west-1' && called === operation;
    const [good, bad] = await ask(2, { preflight: true });
    t.like(good, { Action: 'publish', Error: undefined });
    t.like(bad, { Action: 'refused', ErrorCode: 'NO_PERMISSION' });
    t.regex(bad!.Error!, new RegExp(`${operation}: .*not authorized`));
  });
}

test.serial('a preflight finds that there is no room', async t => {
  const { shop, publishing, ask } = await bed(t);
  await shop.publish(1, publishing);
  const rates = parseRates('quotas: { images: 1 }', 'r.yaml');
  const [row] = await ask(2, { preflight: true, rates });
  t.like(row, { Action: 'refused', ErrorCode: 'QUOTA_EXCEEDED', Error: 'images: 1 of 1' });
  t.like((await ask(2, { rates }))[0], { Action: 'publish' });
});

test.serial('an endpoint that does not know DryRun is asked nothing that would change anything', async t => {
  const { simulator, shop, publishing, ask } = await bed(t);
  await shop.publish(1, publishing);
  simulator.knowsDryRun = false;
  const before = contentOf(simulator);
  const calls = simulator.calls.length;
  const [row] = await ask(2, { preflight: true });
  t.is(stateOf([row!], 0, 'DeregisterImage'), 'unknown');
  t.deepEqual(
    simulator.calls
      .slice(calls)
      .filter(({ operation }) => /^(Deregister|Delete|Create|Register)/.test(operation)),
    [],
  );
  t.is(contentOf(simulator), before);
});

const outlook: Outlook = {
  strategy: 'direct',
  region: 'us-east-1',
  newBytes: 100 * 2 ** 20,
  hasParent: true,
  waitSeconds: 0,
  knownBlocks: undefined,
};

test('estimates grow with what there is to do, and are shared by the line', t => {
  const [one] = estimateRun([outlook], USUAL_RATES);
  t.like(one, { blocks: 400, cost: 0.0024, monthlyCost: 0.0098 });
  const many = estimateRun(Array<Outlook>(20).fill(outlook), USUAL_RATES);
  t.true(many[0]!.stages['disk']! > one!.stages['disk']!);
  t.is(estimateRun([{ ...outlook, waitSeconds: 30 }], USUAL_RATES)[0]!.seconds, one!.seconds + 30);
  t.like(estimateRun([{ ...outlook, strategy: 'local' }], USUAL_RATES)[0], { cost: 0, monthlyCost: 0 });
  t.like(estimateRun([{ ...outlook, strategy: 'snapshot' }], USUAL_RATES)[0], {
    cost: 0,
    monthlyCost: 0.0098,
  });
  t.is(estimateRun([{ ...outlook, knownBlocks: 7 }], USUAL_RATES)[0]!.blocks, 7);
  t.deepEqual(estimateRun([], USUAL_RATES), []);
  const property = fc.property(fc.nat(2 ** 40), fc.nat(2 ** 40), fc.boolean(), (a, b, hasParent) => {
    const [less, more] = estimateRun(
      [Math.min(a, b), Math.max(a, b)].map(newBytes => ({ ...outlook, newBytes, hasParent })),
      USUAL_RATES,
    );
    return less!.blocks <= more!.blocks && less!.cost <= more!.cost && less!.seconds <= more!.seconds;
  });
  t.notThrows(() => fc.assert(property));
});

test('the parent that is foreseen is that with which it is there soonest', t => {
  const of = (newBytes: number, waitSeconds: number) => ({ newBytes, waitSeconds, knownBlocks: undefined });
  const [near, far] = [of(100 * 2 ** 20, READY_SECONDS), of(200 * 2 ** 20, 0)];
  t.is(soonest([near, far], USUAL_RATES), far);
  t.is(soonest([{ ...near, waitSeconds: 0 }, far], USUAL_RATES)!.newBytes, near.newBytes);
  t.is(soonest<typeof near>([], USUAL_RATES), undefined);
});

test('rates are read from a file, each of them by itself', async t => {
  const text =
    'prices: { blocksPut: 0.01 }\nregions: { sa-east-1: { storageMonth: 0.1 } }\nspeeds: { line: 1000 }\n';
  const rates = parseRates(text, 'r.yaml');
  t.like(pricesIn(rates, 'us-east-1'), { blocksPut: 0.01, storageMonth: 0.05 });
  t.like(pricesIn(rates, 'sa-east-1'), { blocksPut: 0.01, storageMonth: 0.1 });
  t.like(pricesIn(rates, 'constructor'), { blocksPut: 0.01, storageMonth: 0.05 });
  t.deepEqual(rates.speeds, { ...USUAL_RATES.speeds, line: 1000 });
  t.deepEqual(parseRates('{}', 'r.yaml'), USUAL_RATES);
  for (const [wrong, message] of [
    ['speeds: { line: 0 }', /line 1: speeds\.line: it must be above 0/],
    ['prices: { blocksPut: -1 }', /must not be negative/],
    ['quotas: { images: 1.5 }', /whole number/],
    ['speed: {}', /unknown key "speed"; did you mean "speeds"/],
    ['regions: { x: { blockPut: 1 } }', /did you mean "blocksPut"/],
    ['speeds: { line: .inf }', /CONFIGURATION|expected|Infinity/i],
  ] as const) {
    const error = t.throws<ImageUnpackerError>(() => parseRates(wrong, 'r.yaml'));
    t.is(error.code, 'CONFIGURATION');
    t.regex(error.message, message);
  }
  const directory = temporaryDirectory(t);
  const file = join(directory, 'rates.yaml');
  t.is((await t.throwsAsync<ImageUnpackerError>(readRates(file))).code, 'CONFIGURATION');
  writeFileSync(file, text);
  t.deepEqual(await readRates(file), rates);
});

test('a plan for people says what is estimated and what is not proved', t => {
  const base = {
    AccountName: 'a',
    Region: 'r',
    Strategy: 'direct',
    ImageName: 's/1',
    ImageDigest: '',
    AlreadyPublished: false,
  } as const;
  const text = showPlan([
    {
      ...base,
      Target: 'a/r',
      Action: 'publish',
      ParentImage: 's/0',
      NewBytes: 1024,
      EstimatedBlocks: 1234,
      EstimatedSeconds: 12,
      EstimatedCost: 0.0074,
      EstimatedMonthlyCost: 0.03,
      Preflight: [
        { check: 'DescribeImages', kind: 'permission', state: 'ok', message: 'allowed' },
        { check: 'StartSnapshot', kind: 'permission', state: 'likely', message: 'so\u001b[2J' },
      ],
    },
    { ...base, Target: 'b/r', Action: 'refused', Error: 'no' },
  ]);
  t.regex(text, /a\/r +direct +publish +s\/0 +1\.0 KiB +1,234 +12 s +\$0\.0074 +\$0\.0300/);
  t.regex(text, /\* estimated: 1,234 blocks of 512 KiB in all, 12 s, \$0\.0074 once and \$0\.0300 a month/);
  t.regex(text, /a\/r: 1 of 2 checks are ok\n {2}likely: StartSnapshot: so\\u001b\[2J\nb\/r: no$/);
});
