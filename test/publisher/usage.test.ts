import test from 'ava';
import { deleteUnusedImages } from '../../src/publisher/delete-unused-images.js';
import { listUnusedImages } from '../../src/publisher/list-unused-images.js';
import { listUsedImages } from '../../src/publisher/list-used-images.js';
import { usersOf } from '../simulator/users.js';
import type { Users } from '../simulator/users.js';
import { ACCOUNTS, openBed } from './aws-bed.js';

/* What uses images on AWS, and what is deleted because nothing does. */

const [FIRST, SECOND] = ACCOUNTS;

type Use = (users: Users, imageId: string) => void;

/** Each of these alone keeps an image. */
const uses: [kind: string, use: Use][] = [
  ['instance', ({ instances }, imageId) => instances.push({ ...machine('i-1'), imageId })],
  ['instance', ({ instances }, imageId) => instances.push({ ...machine('i-2'), imageId, state: 'stopped' })],
  ['launch-template', ({ templates }, id) => templates.push(template('lt-1', [undefined, id], 2))],
  ['launch-template', ({ templates }, id) => templates.push(template('lt-2', [id, 'ami-other'], 1))],
  ['launch-configuration', ({ configurations }, imageId) => configurations.push({ name: 'old', imageId })],
  [
    'auto-scaling-group',
    ({ templates, groups }, id) => {
      templates.push(template('lt-3', ['ami-other', id, 'ami-other'], 1));
      groups.push({ name: 'pinned', template: { id: 'lt-3', version: '2' } });
    },
  ],
  [
    'auto-scaling-group',
    ({ templates, groups }, id) => {
      templates.push(template('lt-4', ['ami-other', id, 'ami-other'], 3));
      const overrides = [{ template: { name: 'lt-4', version: '2' } }];
      groups.push({ name: 'mixed', mixed: { template: { id: 'lt-4' }, overrides } });
    },
  ],
  [
    'auto-scaling-group',
    ({ groups }, imageId) => groups.push({ name: 'own', mixed: { template: {}, overrides: [{ imageId }] } }),
  ],
];

function machine(id: string) {
  return { id, state: 'running', launchedAt: 0, tags: { Name: id } };
}

function template(id: string, versions: (string | undefined)[], standard: number) {
  return { id, name: id, versions, default: standard };
}

for (const [at, [kind, use]] of uses.entries()) {
  test.serial(`an image is used by ${kind} (${String(at)})`, async t => {
    const it = await openBed(t);
    const [old] = await it.publish(1);
    await it.publish(2);
    const options = { targets: it.targets, openTarget: it.openTarget, minAge: 0 };
    t.is((await listUnusedImages(options)).UnusedImages.length, 2);
    use(usersOf(it.place()), old!.AmiId!);
    const { UnusedImages, Errors } = await listUnusedImages(options);
    t.deepEqual(Errors, []);
    t.deepEqual(
      UnusedImages.map(({ AccountId }) => AccountId),
      [SECOND],
    );
    const { UsedImages } = await listUsedImages(options);
    const found = UsedImages.find(({ AmiId }) => AmiId === old!.AmiId);
    t.true(
      found?.Uses.some(({ Kind }) => Kind === kind),
      JSON.stringify(found),
    );
    t.is(UsedImages.length, 3);
  });
}

test.serial('a template that names an image by a parameter uses what that says, in that version', async t => {
  const it = await openBed(t);
  const [one] = await it.publish(1);
  const [two] = await it.publish(2);
  await it.publish(3);
  const place = it.place();
  place.parameters.set('golden', { value: 'none', version: 2, history: [one!.AmiId!, 'none'] });
  usersOf(place).templates.push(
    template('lt-1', ['resolve:ssm:golden:1'], 1),
    template('lt-2', ['resolve:ssm:gone'], 1),
  );
  place.parameters.set('text', { value: `{"image": "${two!.AmiId!}"}`, version: 1 });
  const { UnusedImages } = await listUnusedImages({
    targets: it.targets.slice(0, 1),
    openTarget: it.openTarget,
    minAge: 0,
  });
  t.deepEqual(UnusedImages, []);
});

test.serial('with all versions of templates those count that nobody names', async t => {
  const it = await openBed(t);
  const [one] = await it.publish(1);
  await it.publish(2);
  usersOf(it.place()).templates.push(template('lt-1', [one!.AmiId!, 'ami-other'], 2));
  const options = { targets: it.targets.slice(0, 1), openTarget: it.openTarget, minAge: 0 };
  t.is((await listUnusedImages(options)).UnusedImages.length, 1);
  t.is((await listUnusedImages({ ...options, allVersions: true })).UnusedImages.length, 0);
});

test.serial('more users than fit on a page are all seen', async t => {
  const it = await openBed(t);
  const [one] = await it.publish(1);
  await it.publish(2);
  const { instances, templates, groups } = usersOf(it.place());
  for (let at = 0; at < 1200; at++) instances.push({ ...machine(`i-${String(at)}`), imageId: 'ami-other' });
  for (let at = 0; at < 300; at++) templates.push(template(`lt-${String(at)}`, ['ami-other'], 1));
  for (let at = 0; at < 60; at++) it.place().parameters.set(`/p/${String(at)}`, { value: 'x', version: 1 });
  templates.push(template('lt-last', [one!.AmiId!, 'ami-other'], 2));
  for (let at = 0; at < 150; at++) groups.push({ name: `group-${String(at)}` });
  groups.push({ name: 'last', template: { name: 'lt-last', version: '1' } });
  it.place().parameters.set('/p/last', { value: one!.AmiId!, version: 1 });
  const { UsedImages } = await listUsedImages({ targets: it.targets.slice(0, 1), openTarget: it.openTarget });
  const kinds = UsedImages.find(({ AmiId }) => AmiId === one!.AmiId)?.Uses.map(
    ({ Kind, Id }) => `${Kind} ${Id}`,
  );
  t.deepEqual(kinds, ['launch-template lt-last', 'auto-scaling-group last', 'parameter /p/last']);
});

test.serial(
  'an image that is shared is looked for where it is used, and counts as used where nobody can look',
  async t => {
    const sharedWith = { accounts: [SECOND], organisations: [], units: [] };
    const it = await openBed(t, { sharedWith });
    const [first, second] = it.targets;
    const [one] = await it.publish(1, [first!]);
    await it.publish(2, [first!]);
    const options = { openTarget: it.openTarget, minAge: 0 };
    const alone = await listUnusedImages({ ...options, targets: [first!] });
    t.deepEqual(alone.UnusedImages, []);
    const both = { ...options, targets: [first!, second!] };
    t.is((await listUnusedImages(both)).UnusedImages.length, 1);
    t.is(
      (await listUnusedImages({ ...options, targets: [first!], disregarded: [SECOND] })).UnusedImages.length,
      1,
    );
    usersOf(it.place(SECOND)).instances.push({ ...machine('i-1'), imageId: one!.AmiId! });
    t.deepEqual((await listUnusedImages(both)).UnusedImages, []);
    const { UsedImages, UsingInstances } = await listUsedImages(both);
    const used = UsedImages.find(({ AmiId }) => AmiId === one!.AmiId);
    t.deepEqual(used?.Uses, [{ Kind: 'instance', Id: 'i-1', Detail: 'running', AccountId: SECOND }]);
    t.like(UsingInstances[0], {
      InstanceId: 'i-1',
      AmiId: one!.AmiId,
      AccountId: SECOND,
      Tags: { Name: 'i-1' },
    });
    // Where the other account cannot be looked into, that is no proof.
    usersOf(it.place(SECOND)).instances.length = 0;
    it.simulator.denies = (account, _region, operation) =>
      operation === 'DescribeAutoScalingGroups' && account === SECOND;
    const { UnusedImages, Errors } = await listUnusedImages(both);
    t.deepEqual(UnusedImages, []);
    t.deepEqual(
      Errors.map(({ Target, ErrorCode }) => [Target, ErrorCode]),
      [[second!.name, 'NO_PERMISSION']],
    );
    it.place(FIRST).images.get(one!.AmiId!)!.launchPermissions.add('all');
    it.simulator.denies = () => false;
    t.deepEqual((await listUnusedImages(both)).UnusedImages, []);
  },
);

test.serial('nothing is deleted unless it is said, and only what nothing uses', async t => {
  const it = await openBed(t, { parameters: '/images' });
  const rows = [...(await it.publish(1)), ...(await it.publish(2)), ...(await it.publish(3))];
  usersOf(it.place()).instances.push({ ...machine('i-1'), imageId: rows[0]!.AmiId! });
  const options = { targets: it.targets, openTarget: it.openTarget, minAge: 0 };
  const report = await deleteUnusedImages(options);
  t.deepEqual(
    report.UnusedImages.map(({ AmiId, Deleted }) => [AmiId, Deleted]),
    [rows[2], rows[1], rows[3]].map(row => [row!.AmiId, undefined]),
  );
  t.deepEqual(
    report.OldInstances.map(({ InstanceId }) => InstanceId),
    ['i-1'],
  );
  t.is(it.place().images.size + it.place(SECOND).images.size, 6);
  // Young images are left alone; so is what is asked for no more.
  const now = () => new Date(Date.parse(report.UnusedImages[0]!.CreationDate!) + 3600_000);
  t.deepEqual(
    (await deleteUnusedImages({ ...options, minAge: undefined, now, apply: true })).UnusedImages,
    [],
  );
  const { UnusedImages } = await deleteUnusedImages({ ...options, apply: true });
  t.deepEqual(
    UnusedImages.map(({ AmiId, Deleted }) => [AmiId, Deleted]),
    report.UnusedImages.map(({ AmiId }) => [AmiId, true]),
  );
  t.deepEqual([...it.place().images.keys()].sort(), [rows[0]!.AmiId!, rows[4]!.AmiId!].sort());
  t.deepEqual([...it.place(SECOND).images.keys()], [rows[5]!.AmiId!]);
  t.is(it.place().snapshots.size, 2);
  t.is(it.place(SECOND).snapshots.size, 1);
});

test.serial('a target that cannot be looked at all of loses nothing; the others do', async t => {
  const it = await openBed(t);
  await it.publish(1);
  await it.publish(2);
  for (const denied of ['DescribeInstances', 'GetParameters', 'DescribeImageAttribute']) {
    it.simulator.denies = (account, _region, operation) => operation === denied && account === FIRST;
    it.place().parameters.set('x', { value: 'y', version: 1 });
    const { UnusedImages, Errors, Targets } = await deleteUnusedImages({
      targets: it.targets,
      openTarget: it.openTarget,
      minAge: 0,
      apply: denied === 'DescribeImageAttribute',
    });
    t.deepEqual(
      UnusedImages.map(({ AccountId }) => AccountId),
      [SECOND],
    );
    t.deepEqual(Targets, [it.targets[1]!.name]);
    t.is(Errors[0]?.ErrorCode, 'NO_PERMISSION');
    t.regex(Errors[0]?.Error ?? '', /iam-policy/);
  }
  t.is(it.place().images.size, 2);
  t.is(it.place(SECOND).images.size, 1);
});
