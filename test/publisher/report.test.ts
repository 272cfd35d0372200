import { EventEmitter } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { amiPublisher } from '../../src/cli/ami-publisher/program.js';
import { runProgram } from '../../src/cli/program.js';
import { LocalTarget } from '../../src/cloud/local/local-target.js';
import { Journal } from '../../src/publisher/journal.js';
import { reportRun } from '../../src/publisher/report-run.js';
import type { RunReport } from '../../src/publisher/run-report.js';
import { resume } from '../../src/publisher/resume.js';
import { rollback } from '../../src/publisher/rollback.js';
import { runs } from '../../src/publisher/runs.js';
import { localTarget } from '../../src/publisher/target.js';
import { Recorder } from '../cli/run.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { Shop, STREAM } from './shop.js';

async function open(t: ExecutionContext) {
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const targets = [localTarget(shop.path('raw')), localTarget(shop.path('qcow2'), 'qcow2')];
  const { stateDirectory, store } = shop;
  const lastRun = async (): Promise<string> => (await runs({ stateDirectory })).at(-1)!.Run;
  const report = async (): Promise<RunReport> => reportRun(await lastRun(), { stateDirectory, store });
  const call = async (...parameters: string[]) => {
    const [out, err, events] = [new Recorder(), new Recorder(), new EventEmitter()];
    const program = { ...amiPublisher, version: '0' };
    const all = ['report', ...parameters, '--state-dir', stateDirectory];
    const code = await runProgram(program, { parameters: all, environment: {}, out, err, events });
    return { code, out: out.text, err: err.text };
  };
  return { shop, targets, lastRun, report, call };
}

/** What was done when, as far as it can be said beforehand. */
function stagesOf({ Attempts }: RunReport): string[][] {
  return Attempts.map(({ To, Outcome, Stages }) => [
    `${To} ${Outcome}`,
    ...Stages.map(({ Target, Stage, EndedAt, Error }) => {
      const end = Error === undefined ? (EndedAt === null ? ' unended' : '') : ' failed';
      return `${Target === null ? 'all' : Target.replace(/.*\//, '')} ${Stage}${end}`;
    }).sort(),
  ]);
}

const SHARED = ['all capture', 'all unpack'];

test('a report tells what was made where, from what, and what differs', async t => {
  const { shop, targets, report } = await open(t);
  await shop.publish(1, { targets });
  const first = await report();
  t.like(first, { State: 'done', ImageName: `${STREAM}/1`, Changes: null });
  t.regex(first.ChangesFault ?? '', /is the first image of its stream/);
  const rows = await shop.publish(2, { targets, tags: { Team: 'os' } });
  const second = await report();
  t.deepEqual(
    second.Targets.map(({ AmiId, BlocksSent, ParentImageName, State }) => [
      AmiId,
      BlocksSent,
      ParentImageName,
      State,
    ]),
    rows.map(({ AmiId, BlocksSent }) => [AmiId, BlocksSent, `${STREAM}/1`, 'published']),
  );
  t.like(second.Changes, { from: `${STREAM}/1`, to: `${STREAM}/2`, packages: null });
  const { added, removed, changed } = second.Changes!;
  t.true(added.length + removed.length + changed.length > 0);
  const own = ['qcow2 disk', 'qcow2 register', 'raw disk', 'raw register'];
  t.deepEqual(stagesOf(second), [['publish done', ...SHARED, ...own]]);
  for (const { StartedAt, EndedAt } of second.Attempts[0]!.Stages) t.true(StartedAt <= EndedAt!);
});

test('what fails, is resumed, published already and rolled back is told apart', async t => {
  const { shop, targets, report, lastRun } = await open(t);
  const [raw, qcow2] = targets;
  await shop.publish(1, { targets: [raw!] });
  const broken = async (): Promise<never> => Promise.reject(new Error('the disk is full'));
  const rows = await shop.publish(1, {
    targets,
    openTarget: async (target, options) => {
      const cloud = await LocalTarget.open(shop.path(target.name.replace(/.*\//, '')), options as never);
      return Object.assign(cloud, { createDisk: broken });
    },
  });
  t.deepEqual(
    rows.map(({ Error }) => Error === undefined),
    [true, false],
  );
  const failed = await report();
  t.deepEqual(
    failed.Targets.map(({ State }) => State),
    ['published already', 'failed'],
  );
  t.deepEqual(stagesOf(failed), [['publish partly', ...SHARED, 'qcow2 disk failed']]);
  const run = await lastRun();
  await resume(run, shop.options);
  const resumed = await report();
  t.is(resumed.State, 'done');
  t.deepEqual(stagesOf(resumed)[1], ['resume done', ...SHARED, 'qcow2 disk', 'qcow2 register']);
  t.is(resumed.Targets[1]?.Error, undefined);
  await rollback(run, shop.options);
  const back = await report();
  t.deepEqual(stagesOf(back)[2], ['roll-back rolled-back', 'qcow2 remove']);
  t.like(back.Targets[1], {
    Target: qcow2!.name,
    State: 'rolled back',
    Removed: [resumed.Targets[1]!.AmiId],
  });
});

test('a run that was cut off anywhere, and one of an older version, is told as far as it got', async t => {
  const { shop, targets, report, lastRun } = await open(t);
  await shop.publish(2, { targets });
  const run = await lastRun();
  const path = join(shop.stateDirectory, 'runs', run);
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  for (let count = 1; count <= lines.length; count++) {
    writeFileSync(path, `${lines.slice(0, count).join('\n')}\n{"rec`);
    const cut = await report();
    t.is(cut.State, count === lines.length ? 'done' : 'interrupted');
    t.deepEqual(
      cut.Targets.map(({ Target }) => Target),
      targets.map(({ name }) => name),
    );
    const begun = lines.slice(0, count).filter(line => line.includes('"record":"begun"')).length;
    t.is(cut.Attempts[0]!.Stages.length, begun);
    const registered = lines
      .slice(0, count)
      .filter(line => /"record":"outcome".*"register"/.test(line)).length;
    t.is(cut.Targets.filter(({ State, AmiId }) => State === 'published' && AmiId).length, registered);
  }
  const old = lines.filter(line => !/"record":"(begun|ended|reopened)"/.test(line));
  writeFileSync(path, `${old.join('\n')}\n`);
  const own = ['qcow2 disk', 'qcow2 register', 'raw disk', 'raw register'];
  t.deepEqual(stagesOf(await report()), [['publish done', ...own]]);
});

test('blocks that have arrived are counted before the disk is whole', async t => {
  const { shop, targets, report } = await open(t);
  const begin = {
    run: '20261123T060000Z-1a2b3c',
    image: `${STREAM}/1`,
    digest: '0',
    tags: {},
    expiresAt: null,
    targets,
  };
  const journal = await Journal.create(shop.stateDirectory, begin, () => new Date());
  const target = targets[0]!.name;
  await journal.append({ record: 'intent', target, change: 'create-disk' });
  await journal.append({ record: 'sent', target, diskId: 'd1', blocks: [1, 2] });
  await journal.append({ record: 'sent', target, diskId: 'd1', blocks: [3] });
  t.like((await report()).Targets[0], { State: 'running', SnapshotId: 'd1', BlocksSent: 3 });
  await journal.append({ record: 'sent', target, diskId: 'd2', blocks: [3] });
  await journal.close();
  const cut = await report();
  t.like(cut, { State: 'interrupted', Changes: null, ChangesFault: `${STREAM}/1 is another image now` });
  t.like(cut.Targets[0], { State: 'interrupted', SnapshotId: 'd2', BlocksSent: 1 });
});

test('the command writes the page where it is wanted, and tells the same as JSON', async t => {
  const { shop, targets, lastRun, call } = await open(t);
  await shop.publish(1, { targets });
  await shop.publish(2, { targets });
  const run = await lastRun();
  const file = shop.path('report.html');
  writeFileSync(file, 'an older one');
  const written = await call(run, '--out', file);
  t.is(written.code, 0, written.err);
  t.true(written.out.startsWith(`${file}: `));
  const page = readFileSync(file, 'utf8');
  t.true(page.startsWith('<!doctype html>'));
  t.regex(page, /Files are not compared: No store was given/);
  t.is(statSync(file).mode & 0o777, 0o644);
  t.is((await call(run, '--out', '-')).out, page);
  const compared = await call(run, '--json', '--store', shop.path('store'));
  t.like(JSON.parse(compared.out), { Run: run, Changes: { to: `${STREAM}/2` }, Targets: { length: 2 } });
  t.is((await call(run)).code, 2);
  t.is((await call(run, '--json', '--out', '-')).code, 2);
  const unknown = await call(`${run.slice(0, -1)}${run.endsWith('0') ? '1' : '0'}`, '--out', file);
  t.is(unknown.code, 2);
  t.regex(unknown.err, new RegExp(`did you mean ${run}`));
});
