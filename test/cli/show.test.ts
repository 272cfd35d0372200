import test from 'ava';
import { jsonPieces, toJson } from '../../src/cli/json.js';
import { writePieces } from '../../src/cli/output.js';
import {
  linePieces,
  showCount,
  showCountOf,
  showDuration,
  showLines,
  showSize,
  showTable,
  showText,
} from '../../src/cli/show.js';

test('sizes', t => {
  const sizes = [0, 1, 1023, 1024, 1536, 10_188, 10_240, 1_048_063, 1_048_064, 1.6 * 2 ** 30, 2 ** 60];
  t.deepEqual(sizes.map(showSize), [
    ...['0 B', '1 B', '1023 B', '1.0 KiB', '1.5 KiB', '9.9 KiB', '10 KiB', '1023 KiB', '1.0 MiB', '1.6 GiB'],
    '1.0 EiB',
  ]);
  t.is(showSize(3n << 40n), '3.0 TiB');
});

test('counts', t => {
  t.deepEqual([0, 999, 1000, 33_488, 1_234_567n].map(showCount), [
    '0',
    '999',
    '1,000',
    '33,488',
    '1,234,567',
  ]);
});

test('how many there are of something', t => {
  t.deepEqual(
    [0, 1, 1n, 2, 1001].map(count => showCountOf(count, 'image')),
    ['0 images', '1 image', '1 image', '2 images', '1,001 images'],
  );
  t.is(showCountOf(1, 'entry', 'entries'), '1 entry');
  t.is(showCountOf(2, 'entry', 'entries'), '2 entries');
});

test('durations', t => {
  const durations = [
    0, 0.994, 0.995, 9.94, 9.95, 59.4, 59.5, 185, 3599.4, 3599.5, 7620, 86_369, 86_371, 2_606_400,
  ];
  t.deepEqual(durations.map(showDuration), [
    ...['0.00 s', '0.99 s', '1.0 s', '9.9 s', '10 s', '59 s', '1 min 00 s', '3 min 05 s', '59 min 59 s'],
    ...['1 h 00 min', '2 h 07 min', '23 h 59 min', '1 d 00 h', '30 d 04 h'],
  ]);
});

test('a table is aligned and its cells drive no terminal', t => {
  const columns = [{ title: 'NAME' }, { title: 'SIZE', align: 'right' as const }, { title: 'TAGS' }];
  const rows = [
    ['base/x', '9 B', ''],
    ['a\nb', '10 KiB', 'é=1'],
  ];
  t.is(
    showTable(columns, rows),
    ['NAME      SIZE  TAGS', 'base/x     9 B', 'a\\nb    10 KiB  é=1'].join('\n'),
  );
});

test('characters that drive a terminal or deceive its reader are escaped, others are not', t => {
  t.is(showText('plain é 漢 😀 \\ %'), 'plain é 漢 😀 \\ %');
  t.is(
    showText('\x1b[2J\x00\x07\x7f\x9b\u202e\u2066\u2028\ud800'),
    ['\\u001b[2J\\u0000\\u0007\\u007f\\u009b\\u202e\\u2066\\u2028\\ud800'].join(''),
  );
  t.is(showText('a\n\tb'), 'a\\n\\tb');
  t.is(showLines('a\n\tb\r'), 'a\n\\tb\\u000d');
});

test('JSON holds a bigint exactly', t => {
  t.is(
    toJson({ a: 5n, b: [-(2n ** 53n) + 1n, 2n ** 53n], c: undefined }),
    '{"a":5,"b":[-9007199254740991,"9007199254740992"]}',
  );
  t.is(toJson(undefined), 'null');
});

test('long lists make no other JSON, but several pieces', t => {
  const numbers = Array.from({ length: 10_000 }, (_, at) => at);
  for (const value of [
    { a: 1n, long: numbers, left: undefined, b: { c: [undefined, 2n ** 60n] }, again: numbers.map(String) },
    { long: numbers.slice(0, 8192), 'a "key"': [] },
    { short: [1], nothing: null },
    [1, 2],
    undefined,
    'text',
  ]) {
    const pieces = [...jsonPieces(value)];
    t.is(pieces.join(''), toJson(value));
    t.true(pieces.every(piece => piece.length <= 40_000));
  }
});

test('lines are shown as their text is', t => {
  const lines = ['a', '', 'b\u001b'];
  t.is([...linePieces(lines)].join(''), [...linePieces(lines.join('\n'))].join(''));
  t.deepEqual([...linePieces([])], []);
});

test('pieces are written together, all of them, with one end', async t => {
  for (const pieces of [
    ['a', 'b'],
    [],
    [''],
    ['', 'a', ''],
    Array.from({ length: 30_000 }, () => 'seven..'),
  ]) {
    const written: string[] = [];
    const output = {
      write: (text: string, done: () => void): void => {
        written.push(text);
        done();
      },
    };
    await writePieces(output, pieces);
    const text = pieces.join('');
    t.is(written.join(''), text === '' ? '' : `${text}\n`);
    t.true(written.length <= 4 && written.every(each => each.length < 80_000));
  }
});
