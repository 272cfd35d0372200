import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { start } from './run.js';

test('a signal aborts the command, and the program says that it was interrupted', async t => {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    const { out, err, events, ended } = start(['wait']);
    await setTimeout(10);
    events.emit(name);
    t.is(await ended, 130);
    t.is(out.text, '');
    t.regex(
      err.text,
      /fixture: Interrupted; stopping\n.*fixture: Interrupted: what was begun is safe to run again\n$/s,
    );
  }
});

test('with --json an interruption is a document', async t => {
  const { out, events, ended } = start(['wait', '--json']);
  await setTimeout(10);
  events.emit('SIGINT');
  t.is(await ended, 130);
  t.like(JSON.parse(out.text), { error: { code: 'CANCELLED' } });
});

test('a second signal does not cut the cleaning up short', async t => {
  const { err, events, ended } = start(['wait']);
  await setTimeout(10);
  events.emit('SIGINT');
  const began = performance.now();
  events.emit('SIGINT');
  t.is(await ended, 130);
  t.true(performance.now() - began > 250);
  t.regex(err.text, /fixture: Already stopping/);
});

test('the log goes to standard error: JSON, or readable lines on a terminal', async t => {
  for (const [isTTY, line] of [
    [false, /^\{"level":"info","time":"[^"]*".*,"size":1,"path":"\/\\u001b\[2J","msg":"ready"\}\n/],
    [true, /^info: ready size=1 path=\/\\u001b\[2J\n/],
  ] as const) {
    const { err, events, ended } = start(['wait'], {}, isTTY);
    await setTimeout(10);
    events.emit('SIGINT');
    await ended;
    t.regex(err.text, line);
    t.false(err.text.includes('not shown'));
  }
});

test('--quiet logs only errors', async t => {
  const { err, events, ended } = start(['wait', '--quiet']);
  await setTimeout(10);
  t.is(err.text, '');
  events.emit('SIGINT');
  t.is(await ended, 130);
});
