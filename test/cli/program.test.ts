import test from 'ava';
import type { ExitCode } from '../../src/cli/exit-code.js';
import type { ErrorCode } from '../../src/image/error.js';
import { run } from './run.js';

test('options and arguments reach the command with their types', async t => {
  const { code, out } = await run([
    ...['echo', 'me', '--device', 'd', '--force', '--store=s', '--layout', 'disk', '--expires-in', '2m'],
    ...['--only', 'a', '--only', 'b', '--tag', 'k=v=w', '--tag', 'l=', '--json'],
  ]);
  t.is(code, 0);
  t.deepEqual(JSON.parse(out), {
    ...{ firstName: 'me', device: 'd', force: true, store: 's', layout: 'disk', expiresIn: 120 },
    ...{ only: ['a', 'b'], tags: { k: 'v=w', l: '' }, json: true },
  });
});

test('what is not given has its initial value', async t => {
  const { out } = await run(['--json', 'echo', 'me', '--device', 'd']);
  const expected = {
    firstName: 'me',
    device: 'd',
    force: false,
    layout: 'whole',
    only: [],
    tags: {},
    json: true,
  };
  t.deepEqual(JSON.parse(out), expected);
});

test('the environment stands in for an option, and the option comes before it', async t => {
  const environment = { FIXTURE_STORE: 'e' };
  const parameters = ['echo', 'me', '--device', 'd', '--json'];
  t.like(JSON.parse((await run(parameters, environment)).out), { store: 'e' });
  t.like(JSON.parse((await run([...parameters, '--store', 's'], environment)).out), { store: 's' });
});

test('a wrong variable of the environment is a matter of configuration', async t => {
  for (const environment of [{ FIXTURE_EXPIRES: 'soon' }, { LOG_LEVEL: 'loud' }]) {
    const { code, out } = await run(['echo', 'me', '--device', 'd', '--json'], environment);
    const [variable = ''] = Object.keys(environment);
    const { error } = JSON.parse(out) as { error: { code: string; message: string } };
    t.is(code, 2);
    t.is(error.code, 'CONFIGURATION');
    t.true(error.message.includes(variable));
  }
});

test('a result is shown to people, or printed as one document', async t => {
  t.is((await run(['echo', 'me', '--device', 'd'])).out, 'first me\nsecond\n');
  const { out, code } = await run(['fail', 'partly', '--json']);
  t.is(out, '{"huge":"1152921504606846976","size":5}\n');
  t.is(code, 3);
});

const wrongCalls: [parameters: string[], says: string][] = [
  [[], 'the commands are echo, fail, wait, long, peek'],
  [['ecko'], "Unknown command 'ecko' (Did you mean echo?); see 'fixture --help'"],
  [['ecko', '--help'], "Unknown command 'ecko' (Did you mean echo?); see 'fixture --help'"],
  [['help', 'ecko'], "Unknown command 'ecko' (Did you mean echo?); see 'fixture --help'"],
  [['zzz'], 'the commands are echo'],
  [
    ['echo', 'x', '--devise', 'd'],
    "Unknown option '--devise' (Did you mean --device?); see 'fixture echo --help'",
  ],
  [['echo', 'x', '--device', 'd', '--quite'], 'Did you mean --quiet?'],
  [['--jsn', 'echo'], 'Did you mean --json?'],
  [['echo', 'x'], "Option '--device <device>' must be given"],
  [['echo', 'x', '--device'], 'argument missing'],
  [['echo', 'x', '--device', '--store', 's'], "is followed by '--store'"],
  [['echo', '--device', 'd'], "'first-name'"],
  [['echo', 'a', 'b', 'c', '--device', 'd'], 'Too many arguments'],
  [['echo', 'x', '--device', 'd', '--layout', 'both'], '"both" is none of whole, disk'],
  [
    ['echo', 'x', '--device', 'd', '--expires-in', '3y'],
    'Option \'--expires-in <duration>\': "3y" is not a duration',
  ],
  [['echo', 'x', '--device', 'd', '--tag', 'k=1', '--tag', 'k=2'], 'given twice'],
  [['echo', 'x', '--device', 'd', '--log-level', 'loud'], '"loud" is none of trace, debug'],
];

for (const [parameters, says] of wrongCalls) {
  test(`a wrong call: ${parameters.join(' ')}`, async t => {
    const plain = await run(parameters);
    t.is(plain.code, 2);
    t.is(plain.out, '');
    t.true(plain.err.startsWith('fixture: ') && plain.err.includes(says), plain.err);
    // `--json` comes first here, where no option can take it for its value.
    const json = await run(['--json', ...parameters]);
    t.is(json.code, 2);
    t.is(json.err, '');
    const { error } = JSON.parse(json.out) as { error: { code: string; message: string } };
    t.is(error.code, 'USAGE');
    t.true(error.message.includes(says), error.message);
  });
}

const exitCodes: [ErrorCode, ExitCode][] = [
  ['USAGE', 2],
  ['CONFIGURATION', 2],
  ['IMAGE_NAME', 2],
  ['NO_SPACE', 1],
  ['INTERNAL', 1],
  ['CANCELLED', 130],
];

for (const [code, exitCode] of exitCodes) {
  test(`the error ${code} ends a program with ${String(exitCode)}`, async t => {
    t.is((await run(['fail', code])).code, exitCode);
  });
}

test('an error is told to people line by line, and drives no terminal', async t => {
  const { err, out } = await run(['fail', 'NO_SPACE']);
  t.is(out, '');
  t.is(err, 'fixture: It failed on /a\\u001b[2Jb\n  first\n  second\\u0007\n');
});

test('an error is told to programs as one document', async t => {
  const { err, out } = await run(['fail', 'NO_SPACE', '--json']);
  t.is(err, '');
  t.deepEqual(JSON.parse(out), {
    error: {
      code: 'NO_SPACE',
      message: 'It failed on /a\x1b[2Jb',
      path: '/a\x1b[2Jb',
      details: ['first', 'second\x07'],
    },
  });
});

test('a fault of the program is an error too, with a trace only at the log level debug', async t => {
  const plain = await run(['fail', 'bug']);
  t.is(plain.code, 1);
  t.regex(plain.err, /^fixture: Something unforeseen happened .*: x is not a function\n$/);
  const traced = await run(['fail', 'bug', '--log-level', 'debug']);
  t.regex(traced.err, /TypeError: x is not a function\n +at /);
});

test('what is no text is refused, as it has been replaced', async t => {
  const { code, err } = await run(['echo', 'a\ufffd']);
  t.is(code, 2);
  t.regex(err, /The parameter "a\ufffd" is not UTF-8/);
});

test('after -- there are no options, --json neither', async t => {
  const { code, out, err } = await run(['ecko', '--', '--json']);
  t.is(code, 2);
  t.is(out, '');
  t.regex(err, /Unknown command 'ecko'/);
});

test('help and version are printed and are no failure', async t => {
  t.deepEqual(await run(['--version']), { code: 0, out: '1.2.3\n', err: '' });
  const { code, out } = await run(['echo', '--help']);
  t.true(out.includes('\n\nA paragraph of two lines.\n\nAnd one more.\n\n'), out);
  t.is(code, 0);
  for (const part of [
    '<first-name> [other]',
    '--device <device>',
    'environment: FIXTURE_STORE',
    '--json',
    '130',
  ]) {
    t.true(out.includes(part), part);
  }
  t.is((await run(['help', 'echo'])).out, out);
});
