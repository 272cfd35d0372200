import test from 'ava';
import fc from 'fast-check';
import { sha512 } from '../../src/image/digest.js';
import { seal, unseal } from '../../src/image/sealed.js';

const damaged = { code: 'STATE_DAMAGED', message: /the file/ };
const open = (text: string | Buffer): unknown => unseal(Buffer.from(text), 'the file', 'STATE_DAMAGED');
const sealed = (json: string): string => `${json}\nsha512 ${sha512(Buffer.from(json)).toString('hex')}\n`;

test('what is sealed is read as it was', t => {
  const value = fc.letrec(tie => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.string({ unit: 'grapheme' }).filter(text => !text.startsWith('\0')),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.bigInt({ min: 2n ** 53n }),
      fc.bigInt({ max: -(2n ** 53n) }),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.string({ minLength: 1 }).filter(key => !/^\0|^__proto__$|^format$/.test(key)),
        tie('value'),
      ),
    ),
  })).value;
  fc.assert(
    fc.property(value, content => {
      t.deepEqual(open(seal({ content })), { content });
    }),
    { numRuns: 300 },
  );
});

test('the form is one line of JSON and one of its digest', t => {
  t.is(seal({ a: 'x', b: 2n ** 60n }), sealed('{"format":1,"a":"x","b":1152921504606846976}'));
});

test('numbers in strings stay as they are', t => {
  const text = '12345678901234567890 "\\" 12345678901234567890';
  t.deepEqual(open(seal({ text, [`k${text}`]: 1 })), { text, [`k${text}`]: 1 });
});

test('a change of any byte is found', t => {
  const text = Buffer.from(seal({ name: 'x', bytes: 2n ** 53n + 1n }));
  for (let at = 0; at < text.length; at++) {
    const changed = Buffer.from(text);
    changed[at]! ^= 1;
    t.throws(() => open(changed), damaged);
    t.throws(() => open(text.subarray(0, at)), damaged);
  }
  t.throws(() => open(Buffer.concat([text, Buffer.from('\n')])), damaged);
});

for (const json of [
  '',
  '1',
  'null',
  '"x"',
  '{"format":2}',
  '{}',
  '[1]',
  '{"format":1',
  '{"format":1,"a":"\\u0000x"}',
]) {
  test(`refused though sealed: ${json}`, t => {
    t.throws(() => open(sealed(json)), damaged);
  });
}
