import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { ImageUnpackerError } from '../../../src/image/error.js';
import { listRuns } from '../../../src/publisher/journal.js';
import { resume } from '../../../src/publisher/resume.js';
import { rollback } from '../../../src/publisher/rollback.js';
import type { ResultRow } from '../../../src/publisher/row.js';
import { verify } from '../../../src/publisher/verify.js';
import { Random } from '../../crash/rig/random.js';
import type { Trouble } from '../../simulator/fault.js';
import { addInstance, attachmentState, fleetOf, instanceState } from '../../simulator/fleet.js';
import { inParts } from '../seeds.js';
import { diskOf, STREAM } from '../shop.js';
import type { Bed } from './bed.js';
import { bed, options, publish } from './bed.js';

/* Whole runs of the strategy snapshot. `AWS_FAULT_SEEDS` and `AWS_FAULT_FIRST` say how many schedules of faults are tried, as in aws.test.ts. */

const SEEDS = Number(process.env['AWS_FAULT_SEEDS'] ?? 12);
const FIRST = Number(process.env['AWS_FAULT_FIRST'] ?? 1);

/** Publishes, and resumes until nothing fails any more, as an operator would. */
async function publishAtLast(it: Bed, leaf: number): Promise<ResultRow[]> {
  let rows = await publish(it, leaf);
  for (let at = 0; at < 12 && rows.some(({ Error }) => Error !== undefined); at++) {
    const run = (await listRuns(it.shop.stateDirectory)).at(-1);
    rows =
      run?.begin.image === `${STREAM}/${String(leaf)}`
        ? await resume(run.begin.run, options(it))
        : await publish(it, leaf);
  }
  return rows;
}

/** That there are just these images, each with its disk, one volume that is attached, and nothing else. */
function checkPlaces(t: ExecutionContext, { world, places, fakes }: Bed, leaves: readonly number[]): void {
  for (const [at, place] of places.entries()) {
    const images = [...place.images.values()];
    t.deepEqual(
      images.map(({ name }) => name).sort(),
      leaves.map(leaf => `${STREAM}/${String(leaf)}`),
    );
    t.is(place.snapshots.size, leaves.length, 'no orphans');
    for (const image of images) {
      t.false(image.tags.has('Unfinished'));
      const disk = diskOf(Number(image.name.at(-1)));
      const content = world.contentOf(place.snapshots.get(image.snapshotId)!);
      for (let number = 0; number * 524_288 < disk.size; number++) {
        const block = world.blocks.get(content.get(number) ?? '') ?? Buffer.alloc(524_288);
        t.true(block.equals(disk.block(number)), `${image.name} block ${String(number)}`);
      }
    }
    const volumes = [...fleetOf(place).volumes.values()];
    t.is(volumes.length, 1, 'one volume for the stream');
    t.is(attachmentState(world, volumes[0]!), 'attached');
    t.false(volumes[0]!.tags.has('Unfinished'));
    for (const agent of fakes[at]!.agents.values()) t.is(agent.held.size, 0, 'nothing is held');
  }
}

test.serial(
  'revisions are published by the unpackers of several regions, each by the volume of its stream',
  async t => {
    const it = await bed(t, ['us-east-1', 'eu-west-1']);
    const [first, second] = it.places;
    addInstance(it.world, first!, { address: '10.0.0.1' });
    addInstance(it.world, second!, { address: '10.1.0.1', state: 'stopping' });
    const rows = await publish(it, 1);
    for (const row of rows) {
      t.like(row, { Error: undefined, Strategy: 'snapshot', BlocksWritten: 3, DiskDigest: undefined });
      t.deepEqual(Object.keys(row.Stages), ['unpacker', 'volume', 'unpack', 'snapshot', 'register']);
    }
    t.is(new Set(rows.map(({ ImageDigest }) => ImageDigest)).size, 1);
    t.deepEqual(it.shop.unpacker.calls, [], 'no other unpacker is asked');
    const again = await publish(it, 2);
    t.true(again.every(({ Error }) => Error === undefined));
    checkPlaces(t, it, [1, 2]);
    const [volume] = [...fleetOf(first!).volumes.values()];
    t.like(volume, { type: 'gp3', encrypted: true, size: 2, keyArn: first!.findKey('alias/aws/ebs')!.arn });
    t.is(volume!.tags.get('Stream'), STREAM);
    const { calls } = it.simulator;
    const before = calls.filter(({ operation }) => /^(Create|Attach|Start|Register)/.test(operation)).length;
    t.true((await publish(it, 2)).every(({ AlreadyPublished }) => AlreadyPublished));
    t.is(calls.filter(({ operation }) => /^(Create|Attach|Start|Register)/.test(operation)).length, before);
    const verified = await verify({
      results: again,
      targets: it.targets,
      openTarget: it.openTarget,
      content: true,
    });
    t.deepEqual(
      verified.map(({ Problems }) => Problems),
      [[], []],
    );
  },
);

test.serial(
  'the unpacker that has the stream’s volume is taken, else the least busy one that runs',
  async t => {
    const it = await bed(t);
    const [place] = it.places;
    addInstance(it.world, place!, { address: '10.0.0.1', state: 'stopped' });
    const busy = addInstance(it.world, place!, { address: '10.0.0.2' });
    const idle = addInstance(it.world, place!, { address: '10.0.0.3' });
    const [fake] = it.fakes;
    fake!.of(busy).pins.set('other', 'vol0');
    fake!.of(busy).busy.add('other');
    t.is((await publish(it, 1))[0]!.Error, undefined);
    t.true(fake!.of(idle).calls.includes(`unpack ${STREAM}/1`));
    for (const each of ['x', 'y']) {
      fake!.of(idle).pins.set(each, 'vol0');
      fake!.of(idle).busy.add(each);
    }
    t.is((await publish(it, 2))[0]!.Error, undefined);
    t.true(fake!.of(idle).calls.includes(`unpack ${STREAM}/2`), 'it has the volume');
    checkPlaces(t, it, [1, 2]);
  },
);

test.serial('a target without an unpacker has a row that says so', async t => {
  const it = await bed(t);
  t.regex((await publish(it, 1))[0]!.Error ?? '', /no unpacker .*strategy direct/);
});

test.serial('a volume that is too small grows in place, and one that has gone is replaced', async t => {
  const it = await bed(t);
  const [place] = it.places;
  const instance = addInstance(it.world, place!, { address: '10.0.0.1' });
  t.is((await publish(it, 1))[0]!.Error, undefined);
  const fleet = fleetOf(place!);
  const [volume] = [...fleet.volumes.values()];
  volume!.size = 0.25;
  t.is((await publish(it, 2))[0]!.Error, undefined);
  t.is(volume!.size, 2);
  fleet.volumes.delete(volume!.id);
  t.is((await publish(it, 3))[0]!.Error, undefined);
  t.true(it.fakes[0]!.of(instance).calls.includes(`forget ${STREAM}`));
  checkPlaces(t, it, [1, 2, 3]);
});

test.serial('rollback takes back the image, the snapshot and the volume that the run made', async t => {
  const it = await bed(t);
  const [place] = it.places;
  const instance = addInstance(it.world, place!, { address: '10.0.0.1' });
  const [row] = await publish(it, 1);
  await rollback(row!.Run!, options(it));
  const { volumes } = fleetOf(place!);
  t.deepEqual([place!.images.size, place!.snapshots.size, volumes.size], [0, 0, 0]);
  t.is(instanceState(it.world, instance), 'running');
  const [kept] = await publish(it, 1);
  t.is(kept!.Error, undefined);
  const [next] = await publish(it, 2);
  await rollback(kept!.Run!, options(it));
  t.is(volumes.size, 1, 'a later run has made use of it');
  await rollback(next!.Run!, options(it));
  t.deepEqual([place!.images.size, place!.snapshots.size, volumes.size], [0, 0, 1]);
});

test.serial(
  'stopped at any call, a run is resumed to one image, and else rolled back to nothing',
  async t => {
    const operations = ['CreateVolume', 'AttachVolume', 'CreateSnapshot', 'RegisterImage', 'DeleteTags'];
    for (const [at, operation] of [...operations, ...operations].entries()) {
      const it = await bed(t);
      const [place] = it.places;
      addInstance(it.world, place!, { address: '10.0.0.1', state: 'stopped' });
      const stop = new AbortController();
      it.simulator.schedule = each => {
        if (each !== operation) return undefined;
        stop.abort();
        return at % 2 === 0 ? 'lost' : 'cut';
      };
      const reason = await t.throwsAsync<ImageUnpackerError>(
        publish(it, 1, stop.signal),
        undefined,
        operation,
      );
      t.is(reason.code, 'CANCELLED');
      it.simulator.schedule = () => undefined;
      const run = (await listRuns(it.shop.stateDirectory)).at(-1)!.begin.run;
      if (at < operations.length) {
        t.is((await resume(run, options(it)))[0]!.Error, undefined, operation);
        checkPlaces(t, it, [1]);
      }
      await rollback(run, options(it));
      const { volumes } = fleetOf(place!);
      t.deepEqual([place!.images.size, place!.snapshots.size, volumes.size], [0, 0, 0], operation);
    }
  },
);

for (const seeds of inParts(FIRST, SEEDS)) {
  test.serial(
    `whatever goes wrong on the way, there is one image at last, and nothing is left over: ${seeds.title}`,
    async t => {
      for (let seed = seeds.first; seed < seeds.end; seed++) {
        const it = await bed(t);
        addInstance(it.world, it.places[0]!, { address: '10.0.0.1', state: 'stopped' });
        const random = new Random(seed);
        const troubles: Trouble[] = ['throttled', 'failed', 'cut', 'lost'];
        const share = 0.05 + random.next() * 0.25;
        it.simulator.schedule = () =>
          random.next() < share ? troubles[Math.floor(random.next() * troubles.length)] : undefined;
        for (const leaf of [1, 2]) {
          const rows = await publishAtLast(it, leaf);
          t.deepEqual(
            rows.map(({ Error }) => Error),
            [undefined],
            `seed ${String(seed)}`,
          );
        }
        checkPlaces(t, it, [1, 2]);
      }
    },
  );
}
