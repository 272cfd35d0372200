import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { seal } from '../../src/image/sealed.js';
import { checkAnnotationKeys, checkTags, decodeRecord, encodeRecord } from '../../src/store/record.js';
import type { ImageRecord } from '../../src/store/store.js';
import { golden } from '../golden.js';

const record: ImageRecord = {
  name: 'base/debian-12/2026-11-23T06:00',
  digest: sha512(golden('index')).toString('hex'),
  createdAt: '2026-11-23T06:00:00.000Z',
  expiresAt: '2026-12-23T06:00:00.000Z',
  entries: 13,
  bytes: 2n ** 53n + 1n,
  tags: { Release: 'é', empty: '' },
  annotations: { packages: sha512(golden('page')).toString('hex') },
};

test('the golden record is that of its image, and says what the image is', t => {
  t.deepEqual(encodeRecord(record), golden('record'));
  t.deepEqual(decodeRecord(golden('record'), 'f'), record);
});

const damaged = { code: 'STORE_DAMAGED', message: /^the file/ };
const wrong: [string, object][] = [
  ['a key that is not known', { more: 1 }],
  ['a key that is missing', { tags: undefined }],
  ['a name that is none', { name: '../a' }],
  ['a digest in capitals', { digest: record.digest.toUpperCase() }],
  ['a time that is not in UTC', { createdAt: '2026-11-23T06:00:00.000+01:00' }],
  ['a day that is not', { expiresAt: '2026-02-31T06:00:00.000Z' }],
  ['a month that is not', { expiresAt: '2026-13-01T06:00:00.000Z' }],
  ['no entries', { entries: 0 }],
  ['half an entry', { entries: 1.5 }],
  ['bytes below nothing', { bytes: -1 }],
  ['bytes as text', { bytes: '1' }],
  ['tags as a list', { tags: [] }],
  ['a tag that is a number', { tags: { a: 1 } }],
  ['a tag with a line feed', { tags: { a: 'x\ny' } }],
  ['a tag without a key', { tags: { '': 'x' } }],
  ['a tag that objects have from the start', { tags: Object.fromEntries([['__proto__', 'x']]) }],
  ['an annotation that is no digest', { annotations: { a: 'x' } }],
  ['an annotation whose key is a path', { annotations: { '../a': record.digest } }],
];

for (const [what, change] of wrong) {
  test(`refused though sealed: ${what}`, t => {
    t.throws(() => decodeRecord(Buffer.from(seal({ ...record, ...change })), 'the file'), damaged);
  });
}

test('tags and annotations that an image cannot have are wrong usage', t => {
  const usage = { code: 'USAGE' };
  t.notThrows(() =>
    checkTags(
      new Map([
        ['a', ''],
        ['b'.repeat(128), 'c'.repeat(256)],
      ]),
    ),
  );
  t.throws(() => checkTags(new Map([['b'.repeat(129), '']])), usage);
  t.throws(() => checkTags(new Map([['b', 'c'.repeat(257)]])), usage);
  t.throws(() => checkTags(new Map(Array.from({ length: 51 }, (_, at) => [String(at), '']))), usage);
  t.notThrows(() => checkAnnotationKeys(['build-log', 'a'.repeat(64)]));
  t.throws(() => checkAnnotationKeys(['a/b']), usage);
  t.throws(() => checkAnnotationKeys(['a'.repeat(65)]), usage);
});
