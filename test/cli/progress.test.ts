import test from 'ava';
import { Progress } from '../../src/cli/progress.js';
import type { Clock } from '../../src/cli/progress.js';
import { StatusLine } from '../../src/cli/status-line.js';

/** A clock that goes on when it is told to. */
class FakeClock implements Clock {
  #now = 0;
  #timer: { every: number; action: () => void } | undefined;

  now(): number {
    return this.#now;
  }

  every(every: number, action: () => void): () => void {
    this.#timer = { every, action };
    return () => {
      this.#timer = undefined;
    };
  }

  /** Whether somebody still waits for the clock. */
  get isWatched(): boolean {
    return this.#timer !== undefined;
  }

  advance(milliseconds: number, each: (now: number) => void = () => undefined): void {
    for (const end = this.#now + milliseconds; this.#now < end;) {
      this.#now += this.#timer?.every ?? milliseconds;
      each(this.#now);
      this.#timer?.action();
    }
  }
}

function onLines() {
  const lines: string[] = [];
  const clock = new FakeClock();
  return { lines, clock, progress: new Progress({ kind: 'lines', print: line => lines.push(line) }, clock) };
}

function onTerminal(columns: number) {
  const written: string[] = [];
  const clock = new FakeClock();
  const line = new StatusLine({ columns, write: text => written.push(text) });
  return { written, clock, progress: new Progress({ kind: 'terminal', line }, clock) };
}

/** What draws one line: it does not wrap, and what was behind it goes. */
function drawn(line: string): string {
  return `\r\x1b[?7l${line}\x1b[K\x1b[?7h`;
}

test('a step of a second or less is not worth a word', t => {
  for (const { written, clock, progress } of [onTerminal(80)]) {
    const step = progress.step('Reading', 'bytes', 100);
    clock.advance(1000);
    step.end();
    t.deepEqual(written, []);
  }
  const { lines, clock, progress } = onLines();
  const step = progress.step('Reading', 'bytes', 100);
  clock.advance(1000);
  step.end();
  t.deepEqual(lines, []);
});

test('in a pipe there is a line every five seconds and one at the end', t => {
  const { lines, clock, progress } = onLines();
  const step = progress.step('Fetching objects', 'bytes', 100 << 20);
  clock.advance(12_000, now => {
    step.update((now / 1000) * (5 << 20));
  });
  step.end();
  t.deepEqual(lines, [
    'Fetching objects: 25 %, 25 MiB of 100 MiB, 5.0 MiB/s, 15 s left',
    'Fetching objects: 50 %, 50 MiB of 100 MiB, 5.0 MiB/s, 10 s left',
    'Fetching objects: 60 MiB in 12 s',
  ]);
  t.false(clock.isWatched);
});

test('a step of unknown size tells how far it is', t => {
  const { lines, clock, progress } = onLines();
  const scan = progress.step('Scanning', 'entries');
  const sync = progress.step('Waiting for the disk');
  clock.advance(5000, now => {
    scan.update(now * 2);
  });
  sync.end();
  scan.end();
  t.deepEqual(lines, [
    'Scanning: 10,000 entries, 2,000 entries/s',
    'Waiting for the disk: 5.0 s',
    'Waiting for the disk: 5.0 s',
    'Scanning: 10,000 entries in 5.0 s',
  ]);
});

test('a terminal has a bar that is drawn anew and erased at the end', t => {
  const { written, clock, progress } = onTerminal(100);
  const step = progress.step('Fetching', 'files', 20);
  clock.advance(2000, now => {
    step.update(now / 200);
  });
  step.end();
  t.is(
    written.at(-2),
    drawn(`Fetching  [${'='.repeat(15)}${' '.repeat(15)}]  50 %  10 of 20 files  5 files/s  2.0 s left`),
  );
  t.is(written.at(-1), '\r\x1b[K');
  t.is(written.length, 6);
});

test('a line keeps to the width of the terminal', t => {
  for (const columns of [1, 2, 10, 20, 40, 65, 66, 85, 86, 200]) {
    const { written, clock, progress } = onTerminal(columns);
    const step = progress.step('Fetching objects', 'bytes', 1 << 30);
    clock.advance(3000, now => {
      step.update(now << 10);
    });
    const [, line = ''] = /^\r\x1b\[\?7l(.*)\x1b\[K\x1b\[\?7h$/.exec(written.at(-1)!) ?? [];
    t.true(line.length < columns, line);
    t.is(line.includes('['), columns >= 66, line);
    if (columns >= 66) t.is(line.includes(' of '), columns >= 86, line);
    step.end();
  }
});

test('a terminal that does not know its width is taken for one of 80 columns', t => {
  const { written, clock, progress } = onTerminal(0);
  progress.step('Scanning', 'entries');
  clock.advance(1200);
  t.is(written.at(-1), drawn('Scanning  0 entries'));
});

test('the rate follows the last seconds', t => {
  const { lines, clock, progress } = onLines();
  const step = progress.step('Copying', 'bytes', 1000 << 20);
  clock.advance(20_000, now => {
    step.update((now <= 10_000 ? now / 1000 : 10 + (now - 10_000) / 100) * (1 << 20));
  });
  t.regex(lines[1]!, / 1\.0 MiB\/s/);
  t.regex(lines[3]!, / 10 MiB\/s/);
  step.end();
});

test('more than the total is no more than all of it', t => {
  const { lines, clock, progress } = onLines();
  const step = progress.step('Copying', 'files', 10);
  step.update(20);
  clock.advance(5000);
  t.deepEqual(lines, ['Copying: 100 %, 20 of 10 files, 4 files/s']);
  step.end();
});

test('what a step is called drives no terminal', t => {
  const { lines, clock, progress } = onLines();
  progress.step('Reading /a\x1b[2J\nb');
  clock.advance(5000);
  t.deepEqual(lines, ['Reading /a\\u001b[2J\\nb: 5.0 s']);
});

test('of several steps a terminal shows the newest, and stopping erases it', t => {
  const { written, clock, progress } = onTerminal(80);
  const outer = progress.step('Applying');
  const inner = progress.step('Fetching');
  clock.advance(1200);
  t.is(written.at(-1), drawn('Fetching  1.2 s'));
  inner.end();
  inner.end();
  clock.advance(200);
  t.is(written.at(-1), drawn('Applying  1.4 s'));
  progress.stop();
  t.is(written.at(-1), '\r\x1b[K');
  t.false(clock.isWatched);
  outer.end();
  t.is(written.at(-1), '\r\x1b[K');
});
