import test from 'ava';
import { addKeyValue, parseKeyValue } from '../../src/cli/key-value.js';

test('a pair is cut at the first equals sign', t => {
  t.deepEqual(parseKeyValue('a=b=c'), { key: 'a', value: 'b=c' });
  t.deepEqual(parseKeyValue('a='), { key: 'a', value: '' });
});

test('what has no key is refused', t => {
  for (const text of ['', 'a', '=', '=b']) t.throws(() => parseKeyValue(text), { code: 'USAGE' }, text);
});

test('a key is given once', t => {
  const pairs = addKeyValue('__proto__=c', addKeyValue('a=b', new Map()));
  t.deepEqual(
    [...pairs],
    [
      ['a', 'b'],
      ['__proto__', 'c'],
    ],
  );
  t.throws(() => addKeyValue('a=b', pairs), { code: 'USAGE', message: /"a" is given twice/ });
});
