import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { follow } from '../../src/cli/ami-publisher/follow.js';
import { PublishView } from '../../src/cli/ami-publisher/publish-view.js';
import { StatusLine } from '../../src/cli/status-line.js';
import type { PublishEvent } from '../../src/publisher/event.js';
import type { ResultRow } from '../../src/publisher/row.js';
import { temporaryDirectory } from '../temporary-directory.js';

const START = Date.parse('2026-11-23T06:00:00Z');
const TARGETS = ['local:/a', 'local:/b'];

type Untimed<E> = E extends PublishEvent ? Omit<E, 'time'> : never;

function at(seconds: number, event: Untimed<PublishEvent>): PublishEvent {
  return { time: new Date(START + seconds * 1000).toISOString(), ...event };
}

function progress(seconds: number, target: string, done: number): PublishEvent {
  return at(seconds, {
    type: 'progress',
    target,
    stage: 'disk',
    what: 'disk',
    done,
    total: 100 << 20,
    unit: 'bytes',
  });
}

const row = { Target: 'local:/a', AmiId: 'local-1', AlreadyPublished: false } as ResultRow;

const EVENTS: PublishEvent[] = [
  at(0, { type: 'run', run: 'R', image: 'base/os/1', targets: TARGETS }),
  at(0, { type: 'begin', target: null, stage: 'unpack' }),
  at(2, {
    type: 'progress',
    target: null,
    stage: 'unpack',
    what: 'Patching',
    done: 5,
    total: 10,
    unit: 'entries',
  }),
  at(3, { type: 'end', target: null, stage: 'unpack', seconds: 3, error: null }),
  at(3, { type: 'begin', target: 'local:/a', stage: 'disk' }),
  progress(4, 'local:/a', 10 << 20),
  progress(6, 'local:/a', 50 << 20),
  at(7, { type: 'end', target: 'local:/a', stage: 'disk', seconds: 4, error: null }),
  at(7, { type: 'result', row }),
];

test('a table shows target, stage, how far, how fast and how long', t => {
  const view = new PublishView();
  const tables = EVENTS.map(event => {
    view.take(event);
    return view.table(Date.parse(event.time), 200, 40).split('\n');
  });
  t.regex(
    tables[2]![1]!,
    /^local:\/a {2}unpacking: Patching {2}50 % of 10 entries {2}3 entries\/s {2}2\.0 s left$/,
  );
  t.regex(tables[6]![0]!, /^TARGET +STAGE +DONE +RATE +LEFT$/);
  t.regex(tables[6]![1]!, /^local:\/a {2}writing the disk {2}50 % of 100 MiB {2}17 MiB\/s {2}3\.0 s left$/);
  t.regex(tables[6]![2]!, /^local:\/b {2}waiting$/);
  t.regex(tables[8]![1]!, /^local:\/a {2}published local-1$/);
});

test('a table is as wide and as high as the terminal', t => {
  const view = new PublishView();
  const targets = Array.from({ length: 30 }, (_, number) => `local:/target/${String(number)}`);
  view.take(at(0, { type: 'run', run: 'R', image: 'base/os/1', targets }));
  const lines = view.table(START, 20, 10).split('\n');
  t.is(lines.length, 10);
  t.true(lines.every(line => line.length <= 20));
  t.is(lines[9], 'and 22 more');
});

test('in a pipe there are plain lines, and none twice', t => {
  const lines: string[] = [];
  const follower = follow({ kind: 'lines', print: line => lines.push(line) }, undefined, () => t.fail());
  for (const event of EVENTS) follower.onEvent(event);
  follower.onEvent(at(8, { type: 'result', row: { ...row, Error: 'full', Target: 'local:/b' } }));
  follower.end();
  t.deepEqual(lines, [
    'Run R: base/os/1 to 2 targets',
    'unpacking: 3.0 s',
    'local:/a: writing the disk, 50 % of 100 MiB, 17 MiB/s, 3.0 s left',
    'local:/a: writing the disk: 4.0 s',
    'local:/b: full',
  ]);
});

test('a terminal shows a table that is drawn anew, and is left clean', t => {
  let screen = '';
  const line = new StatusLine({ columns: 80, rows: 24, write: text => (screen += text) });
  const follower = follow({ kind: 'terminal', line }, undefined, () => t.fail());
  for (const event of EVENTS) follower.onEvent(event);
  follower.end();
  t.true(screen.startsWith('Run R: base/os/1 to 2 targets\n\rTARGET'));
  // Three lines are shown: the cursor goes up two of them.
  t.true(screen.includes('\x1b[2A\rTARGET'));
  t.true(screen.endsWith('\x1b[2A\r\x1b[J'));
});

test('events are written to a file, a line of JSON each', t => {
  const file = join(temporaryDirectory(t), 'events');
  const follower = follow(undefined, file, () => t.fail());
  for (const event of EVENTS) follower.onEvent(event);
  follower.end();
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  t.deepEqual(
    lines.map(line => JSON.parse(line) as unknown),
    EVENTS,
  );
  t.throws(() => follow(undefined, join(file, 'below'), () => t.fail()), { code: 'OUTPUT' });
});

test('a file of events that cannot be written is told of once, and holds nothing up', t => {
  const warnings: string[] = [];
  const log = { warn: (_fields: object, message: string) => warnings.push(message) };
  const follower = follow(undefined, '/dev/full', () => log as never);
  for (const event of EVENTS) follower.onEvent(event);
  follower.end();
  t.deepEqual(warnings, ['the events cannot be written any more']);
});
