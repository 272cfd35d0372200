import test from 'ava';
import { checkStreamName, parseImageName } from '../../src/image/name.js';

test('a name is a stream and a leaf', t => {
  t.deepEqual(parseImageName('base/debian-12/2026-11-23T06:00'), {
    stream: 'base/debian-12',
    leaf: '2026-11-23T06:00',
  });
  t.deepEqual(parseImageName('a/B_0.+~:-'), { stream: 'a', leaf: 'B_0.+~:-' });
  t.deepEqual(parseImageName(`a/${'x'.repeat(200)}`).leaf.length, 200);
  t.notThrows(() => checkStreamName('base'));
});

for (const [name, message] of [
  ['', /is empty/],
  ['leaf', /has no stream/],
  ['/a/b', /begins with a slash/],
  ['a/b/', /empty part/],
  ['a//b', /empty part/],
  ['a/../b', /has ".." as a part/],
  ['./a', /has "\." as a part/],
  ['a/.hidden', /begins with a letter/],
  ['a/@b', /begins with a letter/],
  ['a/b.', /does not end in a dot/],
  ['a/b c', /letters, digits/],
  ['a/é', /letters, digits/],
  ['a/b\n', /letters, digits/],
  [`a/${'x'.repeat(201)}`, /at most 200/],
  [`${'a/'.repeat(600)}b`, /longer than 1024/],
] as const) {
  test(`refused: ${JSON.stringify(name.slice(0, 20))}`, t => {
    t.throws(() => parseImageName(name), { code: 'IMAGE_NAME', message });
  });
}
