import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import type { ResultRow } from '../../src/publisher/row.js';
import { hasAll } from '../has-all.js';
import { needs } from '../needs.js';
import { attach, run, shell } from './ext4-fixture.js';
import { disksIn, Shop, snapshot } from './publish-fixture.js';

/*
 * Publishing as people call it: real content, a real agent that the publisher starts, real disks.
 */

const hasQemu = hasAll('reading published qcow2 disks', { programs: ['qemu-img'] });
const xfsTest = needs('publishing to a file system that shares blocks', { programs: ['mkfs.xfs'] });

test('revisions are published to disks that are the image, and once more changes nothing', async t => {
  const shop = new Shop(t);
  const first = shop.publish(1);
  shell(
    shop.tree,
    'echo two > etc/motd; rm usr/lib/7; dd if=/dev/urandom of=usr/lib/new bs=300k count=1 status=none',
  );
  shop.build(2);
  const second = shop.publish(2, '--tag', 'Team=os', '--expires-in', '1h');
  await shop.settled();
  t.is(new Set(second.map(row => row.DiskDigest)).size, 1);
  for (const [at, row] of second.entries()) {
    t.is(row.ParentSnapshotId, first[at]!.SnapshotId);
    t.true(row.BlocksSent < 12, `${String(row.BlocksSent)} of ${String(first[at]!.BlocksSent)} blocks`);
  }
  const [raw, qcow2] = second.map(row => row.Path!);
  const copy = shop.path('copy');
  run('cp', '--sparse=always', raw!, copy);
  const where = ['--store', shop.path('store'), '--image', 'os/small/2', '--state-dir', shop.path('other')];
  const checked = run('bin/image-unpacker', 'check', '--device', attach(t, copy), ...where, '--json');
  t.like(JSON.parse(checked), { identical: true });
  if (hasQemu) {
    run('qemu-img', 'check', qcow2!);
    run('qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', raw!, qcow2!);
  }
  const before = snapshot(shop.directory);
  const began = performance.now();
  t.true(shop.publish(2).every(row => row.AlreadyPublished));
  t.log(`published already: ${String(Math.round(performance.now() - began))} ms`);
  t.is(snapshot(shop.directory), before);
  writeFileSync(shop.path('results'), JSON.stringify(second));
  t.is(shop.call('verify', '--content', shop.path('results')).status, 0);
  t.regex(shop.call('delete', '--dry-run', shop.path('results')).stdout, /raw.* would be deleted\n/);
  t.is(shop.call('delete', shop.path('results')).status, 0);
  t.is(shop.call('verify', shop.path('results')).status, 1);
  t.is(disksIn(shop.path('raw')).length, 1);
});

test('a publisher that is killed leaves no agent, no loop device, and nothing that the next one does not put right', async t => {
  const shop = new Shop(t);
  for (const [at, event] of [
    /"begin".*"unpack"/,
    /"begin".*"capture"/,
    /"begin".*"disk"/,
    /"end".*"disk"/,
  ].entries()) {
    const child = await shop.startUntil(1, event);
    child.kill('SIGKILL');
    await once(child, 'exit');
    if (at % 2 === 0) {
      const { Run: run } = shop.runs().at(-1)!;
      const where = ['--store', shop.path('store'), '--state-dir', shop.path('state')];
      const { status, stdout, stderr } = shop.call('resume', run, ...where);
      t.is(status, 0, stdout + stderr);
      t.is(shop.runs().at(-1)!.State, 'done');
    } else {
      shop.publish(1);
    }
    for (const target of ['raw', 'qcow2']) t.is(disksIn(shop.path(target)).length, 1, target);
    await shop.settled();
    const results = shop.publish(1);
    writeFileSync(shop.path('results'), JSON.stringify(results));
    const verified = shop.call('verify', shop.path('results'));
    t.is(verified.status, 0, verified.stdout);
    t.is(shop.call('delete', shop.path('results')).status, 0);
  }
});

test('Ctrl-C ends in order with 130, and rollback leaves nothing', async t => {
  const shop = new Shop(t);
  const child = await shop.startUntil(1, /"begin".*"disk"/);
  child.kill('SIGINT');
  const [code] = (await once(child, 'exit')) as [number];
  const [{ Run: run, State }] = shop.runs() as [{ Run: string; State: string }];
  // It may have been done before the signal came.
  t.true(
    (code === 130 && State === 'interrupted') || (code === 0 && State === 'done'),
    `${String(code)} ${State}`,
  );
  await shop.settled();
  const dry = shop.call('rollback', run, '--state-dir', shop.path('state'), '--dry-run');
  t.is(dry.status, 0, dry.stderr);
  t.regex(dry.stdout, /WOULD BE REMOVED/);
  t.is(shop.call('rollback', run, '--state-dir', shop.path('state')).status, 0);
  for (const target of ['raw', 'qcow2']) t.deepEqual(disksIn(shop.path(target)), []);
});

/** Mounts a file system below the shop until the test ends. */
function mount(t: ExecutionContext, shop: Shop, name: string, ...how: string[]): string {
  const at = shop.path(name);
  mkdirSync(at);
  run('mount', ...how, at);
  t.teardown(() => run('umount', at));
  run('mountpoint', '-q', at);
  return at;
}

test('a directory that is full or read-only fails clearly, and the others are published', t => {
  const shop = new Shop(t);
  mount(t, shop, 'full', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs');
  mount(t, shop, 'read-only', '-t', 'tmpfs', '-o', 'ro', 'tmpfs');
  shop.publishTo(
    '{ local: full }',
    '{ local: raw }',
    '{ local: read-only/here }',
    '{ local: full/q, format: qcow2 }',
  );
  const { status, stdout } = shop.call(...shop.publishing(1), '--json');
  t.is(status, 3);
  const rows = JSON.parse(stdout) as ResultRow[];
  t.deepEqual(
    rows.map(row => row.ErrorCode),
    ['NO_SPACE', undefined, 'NO_PERMISSION', 'NO_SPACE'],
  );
  t.regex(rows[0]!.Error!, /full.*free some space and run it again/);
  t.deepEqual(disksIn(shop.path('full')), ['q'], 'nothing half-written stays');
  t.is(disksIn(shop.path('raw')).length, 1);
  const shown = shop.call(...shop.publishing(1));
  t.is(shown.status, 3);
  t.regex(shown.stdout, /raw .*published already/);
});

test('two publishers at once on one directory: one publishes, the other says why not', async t => {
  const shop = new Shop(t);
  const first = await shop.startUntil(1, /"begin".*"unpack"/);
  // So that it is still at work, however fast the machine is.
  first.kill('SIGSTOP');
  const ofTheSameState = shop.publishing(1, '--json');
  const ofAnother = ofTheSameState.map(arg => (arg === shop.path('state') ? shop.path('state-2') : arg));
  for (const other of [ofAnother, ofTheSameState]) {
    const { status, stdout } = shop.call(...other);
    t.is(status, 1);
    for (const row of JSON.parse(stdout) as ResultRow[]) {
      t.is(row.ErrorCode, 'TARGET_BUSY');
      t.regex(row.Error!, /Another publisher is at work on .*run this again when it is done/);
    }
  }
  const ended = once(first, 'exit');
  first.kill('SIGCONT');
  t.deepEqual(await ended, [0, null]);
  t.is(disksIn(shop.path('raw')).length, 1);
});

test('an agent that is not there is an error that says how to start one', t => {
  const shop = new Shop(t);
  const { status, stdout } = shop.call(
    ...shop.publishing(1, '--unpacker', `unix:${shop.path('none')}`),
    '--json',
  );
  t.is(status, 1);
  const { error } = JSON.parse(stdout) as { error: { message: string } };
  t.regex(error.message, /image-unpacker serve/);
  t.deepEqual(shop.runs(), []);
  for (const [args, message] of [
    [['publish', 'os/small', '9'], /did you mean os\/small\/1/],
    [['publish', 'os/small', '1', '--only', 'local,nowhere'], /is none of the targets/],
    [['publish', 'os/small', '1', '--strategy', 'direct'], /direct is not for local:/],
    [['publsh'], /publish/],
  ] as const) {
    const places = ['--store', shop.path('store'), '--targets', shop.targets];
    const wrong = shop.call(...args, ...places);
    t.is(wrong.status, args[2] === '9' ? 1 : 2, wrong.stderr);
    t.regex(wrong.stderr, message);
  }
  writeFileSync(shop.targets, 'targets:\n  - local: raw\n    fromat: qcow2\n');
  const typo = shop.call(...shop.publishing(1));
  t.is(typo.status, 2);
  t.regex(typo.stderr, /targets\.yaml: line 3: unknown key "fromat"; did you mean "format"\?/);
});

test('an agent that runs already unpacks, and goes on running', async t => {
  const shop = new Shop(t);
  const { address, agent } = await shop.startAgent();
  t.true(shop.publish(1, '--unpacker', address).every(row => row.Error === undefined));
  t.is(agent.exitCode, null);
  t.false(existsSync(shop.path('state/disks')));
});

xfsTest('where the file system shares blocks a revision takes only the room of what changed', t => {
  const shop = new Shop(t);
  const file = shop.path('xfs-file');
  writeFileSync(file, '');
  run('truncate', '-s', '512M', file);
  run('mkfs.xfs', '-q', '-m', 'reflink=1', file);
  const at = mount(t, shop, 'xfs', '-o', 'loop', file);
  shop.publishTo(`{ local: ${at}/raw }`, `{ local: ${at}/qcow2, format: qcow2 }`);
  const used = (): number => {
    run('sync', '-f', at);
    return Number(run('df', '--output=used', '-B', '1', at).trim().split('\n').at(-1));
  };
  const empty = used();
  shop.publish(1);
  const full = used() - empty;
  shell(shop.tree, 'echo two > etc/motd');
  shop.build(2);
  const rows = shop.publish(2);
  const more = used() - empty - full;
  t.true(more < full / 8, `${String(full)} bytes, then ${String(more)}`);
  for (const row of rows) {
    t.is(statSync(row.Path!).mode & 0o777, 0o444);
    if (hasQemu && row.Path!.endsWith('qcow2')) run('qemu-img', 'check', row.Path!);
  }
  writeFileSync(shop.path('results'), JSON.stringify(rows));
  const verified = shop.call('verify', '--content', shop.path('results'));
  t.is(verified.status, 0, verified.stdout);
});

test('events are NDJSON, and the shell sees lines where there is no terminal', t => {
  const shop = new Shop(t);
  const { status, stderr } = shop.call(...shop.publishing(1, '--events', shop.path('events')));
  t.is(status, 0);
  // An agent that takes longer than a second to start is told of before.
  t.regex(stderr, /^Run \S+: os\/small\/1 to 2 targets\n/m);
  t.false(stderr.includes('\x1b'));
  const events = readFileSync(shop.path('events'), 'utf8').trimEnd().split('\n');
  const types = events.map(line => (JSON.parse(line) as { type: string }).type);
  t.is(types[0], 'run');
  t.deepEqual(types.slice(-2), ['result', 'result']);
});
