import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { follow } from '../../src/cli/ami-publisher/follow.js';
import { PublishView } from '../../src/cli/ami-publisher/publish-view.js';
import { StatusLine } from '../../src/cli/status-line.js';
import type { PublishEvent } from '../../src/publisher/event.js';
import type { ResultRow } from '../../src/publisher/row.js';
import { Screen } from '../model/screen.js';
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

/** The rows of a table, cell by cell. */
function cells(table: string): string[][] {
  return table.split('\n').map(line => line.split(/ {2,}/));
}

test('a table shows target, stage, how far, how fast and how long, and who is done before all are', t => {
  const view = new PublishView();
  const tables = EVENTS.map(event => {
    view.take(event);
    return cells(view.table(Date.parse(event.time), 200, 40));
  });
  t.deepEqual(tables[2]![1], ['local:/a', 'patching', '50 % of 10 entries', '3 entries/s', '2.0 s']);
  t.deepEqual(tables[6], [
    ['TARGET', 'STAGE', 'DONE', 'RATE', 'LEFT'],
    ['local:/a', 'writing the disk', '50 % of 100 MiB', '17 MiB/s', '3.0 s'],
    ['local:/b', 'waiting'],
  ]);
  view.take(at(7, { type: 'end', target: 'local:/b', stage: 'register', seconds: 0, error: null }));
  const ended = view.table(START, 200, 40);
  t.deepEqual(cells(ended).slice(1), [
    ['local:/a', 'published local-1'],
    ['local:/b', 'published'],
  ]);
  view.take(at(7, { type: 'end', target: 'local:/b', stage: 'disk', seconds: 0, error: 'the disk is full' }));
  t.deepEqual(cells(view.table(START, 200, 40))[2], ['local:/b', 'failed: the disk is full']);
});

test('when it gets narrow names lose their beginnings, then the rate goes, then the time that is left', t => {
  const view = new PublishView();
  const targets = ['local:/srv/disks/of/production', 'local:/b'];
  view.take(at(0, { type: 'run', run: 'R', image: 'base/os/1', targets }));
  view.take(at(0, { type: 'begin', target: targets[0]!, stage: 'disk' }));
  view.take(progress(1, targets[0]!, 0));
  view.take(progress(2, targets[0]!, 50 << 20));
  const rowAt = (width: number): string[] => cells(view.table(START + 2000, width, 40))[1]!;
  const all = ['writing the disk', '50 % of 100 MiB', '25 MiB/s', '2.0 s'];
  t.deepEqual(rowAt(120), [targets[0], ...all]);
  t.deepEqual(rowAt(80).slice(1), all);
  t.regex(rowAt(80)[0]!, /^…\S*production$/);
  t.deepEqual(rowAt(70).slice(1), all.toSpliced(2, 1));
  t.deepEqual(rowAt(60).slice(1), all.slice(0, 2));
  const titles = [120, 80, 70, 60].map(width => cells(view.table(START + 2000, width, 40))[0]!.length);
  t.deepEqual(titles, [5, 5, 4, 3]);
  for (const width of [40, 20, 5, 1]) {
    for (const line of view.table(START + 2000, width, 40).split('\n')) t.true(line.length <= width, line);
  }
});

test('columns stand still when what is in them gets shorter', t => {
  const view = new PublishView();
  view.take(at(0, { type: 'run', run: 'R', image: 'base/os/1', targets: TARGETS }));
  view.take(at(0, { type: 'begin', target: null, stage: 'unpack' }));
  const about = {
    type: 'progress',
    target: null,
    stage: 'unpack',
    done: 0,
    total: 9,
    unit: 'files',
  } as const;
  const placeOf = (what: string): number => {
    view.take(at(1, { ...about, what }));
    return view.table(START, 200, 40).indexOf('DONE');
  };
  const place = placeOf('A step with a very long name');
  t.is(placeOf('Short'), place);
});

test('a table is as high as the terminal, and shows first where something is going on', t => {
  const view = new PublishView();
  const targets = Array.from({ length: 30 }, (_, number) => `local:/target/${String(number)}`);
  view.take(at(0, { type: 'run', run: 'R', image: 'base/os/1', targets }));
  for (const target of targets.slice(0, 5)) {
    view.take(at(1, { type: 'end', target, stage: 'register', seconds: 0, error: null }));
  }
  const lines = view.table(START, 60, 10).split('\n');
  t.is(lines.length, 10);
  t.deepEqual(
    lines.slice(1, 9).map(line => line.split(' ')[0]),
    targets.slice(5, 13),
  );
  t.is(lines[9], 'and 22 more, 5 of them done');
  t.is(view.table(START, 60, 31).split('\n').length, 31);
});

test('on a small terminal what is at work and what failed is seen among many targets, however high it is', t => {
  const screen = new Screen(200);
  const size = { columns: 80, rows: 24 };
  const line = new StatusLine({
    get columns() {
      return size.columns;
    },
    get rows() {
      return size.rows;
    },
    write: text => screen.write(text.replaceAll('\n', '\r\n')),
  });
  const follower = follow({ kind: 'terminal', line }, undefined, () => t.fail());
  const targets = Array.from({ length: 40 }, (_, number) => `production/region-${String(number)}`);
  follower.onEvent(at(0, { type: 'run', run: 'R', image: 'base/os/1', targets }));
  for (const [number, target] of targets.entries()) {
    if (number < 10)
      follower.onEvent(at(1, { type: 'end', target, stage: 'register', seconds: 1, error: null }));
    else if (number < 14)
      follower.onEvent(at(1, { type: 'end', target, stage: 'disk', seconds: 1, error: 'no' }));
    else if (number >= 30) follower.onEvent(at(1, { type: 'begin', target, stage: 'disk' }));
  }
  const tableAt = (seconds: number, columns: number, rows: number): string[] => {
    Object.assign(size, { columns, rows });
    for (const target of targets.slice(30)) follower.onEvent(progress(seconds, target, seconds << 20));
    follower.onEvent(at(seconds, { type: 'note', target: null, message: 'a note' }));
    const { lines } = screen;
    return lines.slice(lines.findLastIndex(each => each.startsWith('TARGET')));
  };
  const all = tableAt(2, 80, 24);
  t.is(all.length, 23);
  t.regex(all[0]!, /^TARGET +STAGE +DONE +RATE +LEFT$/);
  for (const number of [10, 13, 30, 39]) t.true(all.some(each => each.includes(`region-${String(number)} `)));
  t.is(all.at(-1), 'and 19 more, 10 of them done');
  for (const [seconds, columns, rows] of [
    [3, 80, 12],
    [4, 80, 5],
    [5, 100, 30],
  ] as const) {
    const table = tableAt(seconds, columns, rows);
    t.is(table.length, rows - 1);
    t.true(table.every(each => each.length < columns));
    t.true(
      table.some(each => /region-3\d +writing/.test(each)),
      table.join('\n'),
    );
  }
  t.is(tableAt(6, 100, 12).at(-1), 'and 31 more, 10 of them done, 4 of them failed');
  follower.end();
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
  const screen = new Screen(80);
  const line = new StatusLine({
    columns: 80,
    rows: 24,
    write: text => screen.write(text.replaceAll('\n', '\r\n')),
  });
  const follower = follow({ kind: 'terminal', line }, undefined, () => t.fail());
  const heights = EVENTS.map(event => {
    follower.onEvent(event);
    return screen.lines.length;
  });
  t.deepEqual(new Set(heights), new Set([4]));
  t.regex(screen.lines[1]!, /^TARGET +STAGE/);
  t.regex(screen.lines[2]!, /^local:\/a +published local-1$/);
  follower.end();
  t.deepEqual(screen.lines, ['Run R: base/os/1 to 2 targets']);
});

test('what a terminal that has become narrower has wrapped is drawn over, too', t => {
  const written: string[] = [];
  const output = { columns: 80, rows: 24, write: (text: string) => written.push(text) };
  const line = new StatusLine(output);
  line.draw(['x'.repeat(70), 'x'.repeat(20), ''].join('\n'));
  line.draw('short\nshort\nshort');
  t.true(written.at(-1)!.startsWith('\x1b[2A\r'), 'three rows');
  line.draw(['x'.repeat(70), 'x'.repeat(20), ''].join('\n'));
  output.columns = 30;
  line.draw('short');
  t.true(written.at(-1)!.startsWith('\x1b[4A\r'), 'three rows, one and one');
  t.true(written.at(-1)!.endsWith('\x1b[J'));
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
