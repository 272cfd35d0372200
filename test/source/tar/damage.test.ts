import test from 'ava';
import fc from 'fast-check';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { END, base256, header, pax, readTar, withChecksum, withData, type ReadBack } from './archive.js';

/*
 * What was damaged on its way must not become a tree that looks sound.
 */

const sparse = Buffer.alloc(126);
sparse.write('00000010000\x0000000010000\0', 0, 'latin1');
sparse.write('00000100000\0', 97, 'latin1');

/** One of every kind of header, each a block to flip bytes in. */
const parts = [
  pax([['comment', 'global']], 'g'),
  header({ name: './', type: '5' }),
  pax([
    ['path', 'caf\xe9'],
    ['SCHILY.xattr.user.x', '\0\xff'],
    ['SCHILY.acl.access', 'user::rw-,group::r--,other::---'],
    ['mtime', '1.5'],
  ]),
  withData({ name: 'x', prefix: 'y' }, 'x'.repeat(600)),
  withData({ name: 'L', type: 'L', magic: 'ustar  ' }, `${'n'.repeat(120)}\0`),
  withData({ name: 'short', magic: 'ustar  ', uid: base256(3_000_000n, 8) }, 'data'),
  header({ name: 'c', type: '3', major: '0000454\0' }),
  header({ name: 'l', type: '2', link: 'target' }),
  header({ name: 'h', type: '1', link: 'c' }),
  header({ name: 'caf\xe9', type: '6' }),
  withData({ name: 's', type: 'S', magic: 'ustar  ', patch: { at: 386, bytes: sparse } }, 'd'.repeat(4096)),
];
const archive = Buffer.concat([...parts, END]);

/** Where the headers are, whose bytes a checksum protects. */
const headers = parts.map((_, index) => parts.slice(0, index).reduce((sum, part) => sum + part.length, 0));

/** What counts of a tree: all but the promises in it. */
function shown(entries: readonly ReadBack[]): string {
  return JSON.stringify(entries, (key, value: unknown) => {
    if (key === 'content') return undefined;
    return typeof value === 'bigint' ? `${String(value)}n` : value;
  });
}

async function outcome(bytes: Buffer): Promise<string> {
  try {
    return shown(await readTar(bytes));
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && /^SOURCE_/.test(reason.code)) return reason.code;
    throw reason;
  }
}

test('an archive that is cut off anywhere before its end is refused', async t => {
  const whole = shown(await readTar(archive));
  const end = archive.length - END.length;
  for (let length = 512; length <= archive.length; length += 512) {
    const result = await outcome(archive.subarray(0, length));
    t.is(result, length > end ? whole : 'SOURCE_DAMAGED', `${String(length)} bytes`);
  }
  for (let length = 1; length < end; length += 97) {
    t.is(await outcome(archive.subarray(0, length)), 'SOURCE_DAMAGED', `${String(length)} bytes`);
  }
});

test('no byte of a header can change without being noticed', async t => {
  const whole = shown(await readTar(archive));
  let harmless = 0;
  for (const start of headers) {
    for (let at = start; at < start + 512; at++) {
      for (const change of [0x01, 0x80]) {
        const changed = Buffer.from(archive);
        changed[at]! ^= change;
        const result = await outcome(changed);
        if (result === whole) harmless++;
        else if (!result.startsWith('SOURCE_'))
          t.fail(`byte ${String(at)} changed by ${String(change)}: ${result}`);
      }
    }
  }
  // A leading zero or the space after a checksum say nothing, and the unsigned sum may become the signed one.
  t.true(harmless <= 8 * headers.length, String(harmless));
});

test('whatever is in a header, the outcome is a tree or an error of ours', async t => {
  const numbers = fc.constantFrom(
    '7777777777777',
    '        ',
    '\x80\0\0\0\0\0\0\x7f',
    '\xff\xff\xff\xff\xff\xff\xff\xff',
    '0',
  );
  const bytes = fc.oneof(
    numbers,
    fc.string({ unit: 'binary-ascii', maxLength: 12 }),
    fc.constantFrom('x', 'g', 'S', 'L', 'K', '1', '5', '../', '/', '\n', '0=\n'),
  );
  const change = fc.record({ at: fc.nat(archive.length - 1), bytes });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async changes => {
      const changed = Buffer.from(archive);
      for (const { at, bytes: text } of changes) changed.write(text, at, 'latin1');
      for (const start of headers) withChecksum(changed.subarray(start, start + 512));
      t.is(typeof (await outcome(changed)), 'string');
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 1500) },
  );
});
