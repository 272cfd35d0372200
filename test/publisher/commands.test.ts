import { EventEmitter } from 'node:events';
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { amiPublisher } from '../../src/cli/ami-publisher/program.js';
import { runProgram } from '../../src/cli/program.js';
import { Recorder } from '../cli/run.js';
import { usersOf } from '../simulator/users.js';
import type { AwsBed } from './aws-bed.js';
import { ACCOUNTS, openBed, REGION } from './aws-bed.js';
import { STREAM } from './shop.js';

/* The commands of the life of images, as they are called: what they print, and what they exit with. */

const [FIRST, SECOND] = ACCOUNTS;

/** A file of the targets of a bed, and the program called with it. */
function programOf({ shop }: AwsBed) {
  const file = shop.path('targets.yaml');
  const target = (account: string): string =>
    `  - { account: "${account}", role: "arn:aws:iam::${account}:role/publisher", regions: [${REGION}] }\n`;
  writeFileSync(file, `defaults: { parameters: /images }\ntargets:\n${ACCOUNTS.map(target).join('')}`);
  return async (...parameters: string[]) => {
    const [out, err, events] = [new Recorder(), new Recorder(), new EventEmitter()];
    const program = { ...amiPublisher, version: '0' };
    const environment = { LOG_LEVEL: 'error' };
    const all = [...parameters, '--targets', file];
    const code = await runProgram(program, { parameters: all, environment, out, err, events });
    return { code, out: out.text, err: err.text };
  };
}

test.serial('what is used and what is not is told, and deleted only with --apply', async t => {
  const it = await openBed(t);
  const call = programOf(it);
  const rows = [...(await it.publish(1)), ...(await it.publish(2)), ...(await it.publish(3))];
  usersOf(it.place()).instances.push({
    id: 'i-1',
    imageId: rows[0]!.AmiId!,
    state: 'running',
    launchedAt: 0,
  });
  const used = await call('list-used-images', '--json');
  t.is(used.code, 0);
  t.like(JSON.parse(used.out), {
    UsedImages: { length: 3 },
    UsingInstances: [{ InstanceId: 'i-1' }],
    Errors: [],
  });
  t.regex((await call('list-used-images')).out, /base\/os\/1 +instance i-1 \(running\)/);
  const young = await call('list-unused-images', '--json');
  t.like(JSON.parse(young.out), { UnusedImages: { length: 0 } });
  const old = ['--min-image-age', '0s'];
  const unused = await call('delete-unused-images', ...old);
  t.is(unused.code, 0);
  t.regex(unused.out, /base\/os\/2 .* not used\n/);
  t.regex(unused.out, /MACHINES OF OLD IMAGES/);
  t.regex(unused.out, /Nothing is deleted without --apply\n$/);
  t.is(it.place().images.size, 3);
  const both = await call('delete-unused-images', ...old, '--apply', '--dry-run', '--json');
  t.is(both.code, 2);
  t.is((JSON.parse(both.out) as { error: { code: string } }).error.code, 'USAGE');
  it.simulator.denies = (account, _region, operation) =>
    account === SECOND && operation === 'DescribeInstances';
  const partly = await call('delete-unused-images', ...old, '--apply', '--json');
  t.is(partly.code, 3);
  t.like(JSON.parse(partly.out), {
    UnusedImages: [{ AmiId: rows[2]!.AmiId, Deleted: true, AccountName: FIRST, Region: REGION }],
    Errors: [{ AccountId: SECOND, ErrorCode: 'NO_PERMISSION' }],
    Targets: [`${FIRST}/${REGION}`],
  });
  t.is(it.place().images.size, 2);
  t.is(it.place(SECOND).images.size, 3);
  it.simulator.denies = () => true;
  t.is((await call('list-unused-images', '--json')).code, 1);
});

test.serial('tags are changed and images promoted by what publish printed', async t => {
  const it = await openBed(t);
  const call = programOf(it);
  const file = it.shop.path('results.json');
  const old = await it.publish(1);
  writeFileSync(file, JSON.stringify(old));
  t.is((await call('promote', file)).code, 0);
  writeFileSync(file, JSON.stringify(await it.publish(2)));
  const promoted = await call('promote', file);
  t.regex(promoted.out, new RegExp(old[0]!.AmiId!));
  const back = await call('promote', file, '--back', '--json');
  t.is(back.code, 0);
  t.like(JSON.parse(back.out), { 0: { AmiId: old[0]!.AmiId, Promoted: true } });
  t.is(it.place().parameters.get(`/images/${STREAM}/promoted`)?.value, old[0]!.AmiId);
  const tagged = await call('set-exclusive-tags', 'Canary', 'yes', file, '--json');
  t.like(JSON.parse(tagged.out), { 0: { Key: 'Canary', Value: 'yes', Tagged: true, Untagged: [] } });
  t.regex((await call('delete-tags', 'Canary', file)).out, /Canary=yes +removed/);
  t.regex((await call('delete-tags', 'Canary', file)).out, /not there/);
  const wrong = await call('delete-tags', 'Stream', file);
  t.is(wrong.code, 2);
  t.regex(wrong.err, /images are known by it/);
  const streams = await call('list-streams', '--json');
  t.deepEqual(JSON.parse(streams.out), [STREAM]);
  it.simulator.denies = account => account === SECOND;
  const partly = await call('list-streams', '--json');
  t.is(partly.code, 3);
  t.deepEqual(JSON.parse(partly.out), [STREAM]);
  t.regex(partly.err, /NO_PERMISSION|not authorized/);
});

test.serial('a plan is made for the strategy that it is asked for', async t => {
  const it = await openBed(t);
  const call = programOf(it);
  const planned = async (...more: string[]): Promise<string[]> => {
    const { out } = await call('plan', STREAM, '1', '--store', it.shop.path('store'), '--json', ...more);
    return (JSON.parse(out) as { Strategy: string }[]).map(({ Strategy }) => Strategy);
  };
  t.deepEqual(await planned(), ['direct', 'direct']);
  t.deepEqual(await planned('--strategy', 'snapshot'), ['snapshot', 'snapshot']);
});

test.serial(
  'tags that images cannot have are refused though it is only asked what would be done',
  async t => {
    const it = await openBed(t);
    const call = programOf(it);
    const words = ['publish', STREAM, '1', '--store', it.shop.store.location, '--tag', 'ManagedBy=x'];
    for (const more of [[], ['--dry-run']]) {
      const { code, out } = await call(...words, ...more, '--json');
      t.is(code, 2);
      t.is((JSON.parse(out) as { error: { code: string } }).error.code, 'USAGE');
    }
  },
);

test.serial('what is in a target that is not known is not called other than published', async t => {
  const it = await openBed(t);
  const [row] = await it.publish(1);
  const results = it.shop.path('results.json');
  writeFileSync(results, JSON.stringify([{ ...row, Target: '999988887777/eu-west-3' }]));
  const { code, out } = await programOf(it)('verify', results);
  t.is(code, 1);
  t.regex(out, /NOT looked at/);
  t.regex(out, /--targets/);
});
