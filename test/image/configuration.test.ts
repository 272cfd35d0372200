import test from 'ava';
import * as v from 'valibot';
import { parseConfiguration, section } from '../../src/image/configuration.js';
import type { ImageUnpackerError } from '../../src/image/error.js';

const schema = section({
  listen: v.optional(v.string('a text is expected')),
  volumes: v.optional(section({ directory: v.string(), size: v.optional(v.number()) })),
  list: v.optional(v.array(section({ name: v.string() }))),
});

function faultOf(text: string): Pick<ImageUnpackerError, 'message' | 'code' | 'subject'> {
  try {
    parseConfiguration(text, 'agent.yaml', schema);
  } catch (error) {
    return error as ImageUnpackerError;
  }
  throw new Error('it was accepted');
}

test('a configuration that fits is taken', t => {
  const text = 'listen: unix:/a\nvolumes:\n  directory: /b\n  size: 3\n';
  t.deepEqual(parseConfiguration(text, 'agent.yaml', schema), {
    listen: 'unix:/a',
    volumes: { directory: '/b', size: 3 },
  });
  t.deepEqual(parseConfiguration('{"listen": "x"}', 'agent.yaml', schema), { listen: 'x' });
});

const refused: [what: string, text: string, message: RegExp][] = [
  [
    'an unknown key',
    'listen: a\nvolums: {}\n',
    /^agent\.yaml: line 2: unknown key "volums"; did you mean "volumes"\?$/,
  ],
  [
    'a key like no other',
    'xyzzyplugh: a\n',
    /line 1: unknown key "xyzzyplugh"; the keys are listen, volumes, list$/,
  ],
  [
    'an unknown key below',
    'volumes:\n  directory: a\n  siez: 1\n',
    /line 3: unknown key "siez"; did you mean "size"\?/,
  ],
  [
    'an unknown key in a list',
    'list:\n  - name: a\n  - nam: b\n',
    /line 3: unknown key "nam"; did you mean "name"\?/,
  ],
  ['a missing key', 'listen: a\nvolumes:\n  size: 1\n', /line 2: the key "directory" is missing/],
  ['a value of another kind', 'listen: [a]\n', /line 1: listen: a text is expected/],
  ['a value below of another kind', 'volumes:\n  directory: a\n  size: x\n', /line 3: volumes\.size: /],
  ['text in place of keys', 'hello\n', /line 1: a mapping of keys to values is expected/],
  ['a list', '[]', /line 1: a mapping of keys to values is expected/],
  ['nothing', '', /a mapping of keys to values is expected/],
  ['a key twice', 'listen: a\nlisten: b\n', /line 2: .*unique/],
  ['what is no YAML', 'listen: "a\n', /^agent\.yaml: line \d: /],
  ['a bomb of aliases', `a: &a [x,x,x,x,x,x,x,x,x]\n${aliases()}`, /alias|unknown key/],
];

function aliases(): string {
  const names = 'abcdefghij';
  return Array.from(names.slice(1), (name, at) => `${name}: &${name} [${`*${names[at]!},`.repeat(9)}]`).join(
    '\n',
  );
}

for (const [what, text, message] of refused) {
  test(`refused with the line: ${what}`, t => {
    const fault = faultOf(text);
    t.is(fault.code, 'CONFIGURATION');
    t.regex(fault.message, message);
  });
}

test('all faults are told', t => {
  const { subject } = faultOf('listen: []\nvolumes:\n  direcory: a\n');
  t.deepEqual(subject.details, [
    'line 3: unknown key "direcory"; did you mean "directory"?',
    'line 1: listen: a text is expected',
    'line 2: the key "directory" is missing',
  ]);
});
