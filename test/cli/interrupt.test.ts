import test from 'ava';
import { startWaiting } from './run.js';

// Each waits until the command has begun, of which there is one count.
test.serial('a signal aborts the command, and the program says that it was interrupted', async t => {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    const { out, err, events, ended } = await startWaiting();
    events.emit(name);
    t.is(await ended, 130);
    t.is(out.text, '');
    t.regex(
      err.text,
      /fixture: Interrupted; stopping\n.*fixture: Interrupted: what was begun is safe to run again\n$/s,
    );
  }
});

test.serial('with --json an interruption is a document', async t => {
  const { out, events, ended } = await startWaiting(['--json']);
  events.emit('SIGINT');
  t.is(await ended, 130);
  t.like(JSON.parse(out.text), { error: { code: 'CANCELLED' } });
});

test.serial('a second signal does not cut the cleaning up short', async t => {
  const { err, events, ended } = await startWaiting();
  events.emit('SIGINT');
  const began = performance.now();
  events.emit('SIGINT');
  t.is(await ended, 130);
  t.true(performance.now() - began > 250);
  t.regex(err.text, /fixture: Already stopping/);
});

test.serial('the log goes to standard error: JSON, or readable lines on a terminal', async t => {
  for (const [isTTY, line] of [
    [false, /^\{"level":"info","time":"[^"]*".*,"size":1,"path":"\/\\u001b\[2J","msg":"ready"\}\n/],
    [true, /^info: ready size=1 path=\/\\u001b\[2J\n/],
  ] as const) {
    const { err, events, ended } = await startWaiting([], isTTY);
    events.emit('SIGINT');
    await ended;
    t.regex(err.text, line);
    t.false(err.text.includes('not shown'));
  }
});

test.serial(
  'errors are logged without where in the program they were thrown, but at the level debug',
  async t => {
    for (const [level, hasStack] of [
      ['info', false],
      ['debug', true],
    ] as const) {
      const { err, events, ended } = await startWaiting(['--log-level', level]);
      events.emit('SIGINT');
      await ended;
      const line = err.text.split('\n').find(each => each.includes('it failed'))!;
      const { err: logged } = JSON.parse(line) as { err: Record<string, unknown> };
      t.like(logged, { type: 'Error', message: 'the cause', code: 'EIO' });
      t.is('stack' in logged, hasStack);
    }
  },
);

test.serial('--quiet logs only errors', async t => {
  const { err, events, ended } = await startWaiting(['--quiet']);
  t.is(err.text, '');
  events.emit('SIGINT');
  t.is(await ended, 130);
});
