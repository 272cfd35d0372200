import test from 'ava';
import { xxh32 } from '../../src/image/xxh32.js';

/** Of no bytes, of less than a word, of words and less, of stripes and less: as other implementations have them. */
const KNOWN: readonly [string, number][] = [
  ['', 0x02cc5d05],
  ['a', 0x550d7456],
  ['abc', 0x32d153ff],
  ['Nobody inspects the spammish repetition', 0xe2293b2f],
  ['The quick brown fox jumps over the lazy dog', 0xe85ea4de],
];

for (const [text, hash] of KNOWN) {
  test(`The XXH32 of ${JSON.stringify(text)}`, t => {
    t.is(xxh32(Buffer.from(text)), hash);
  });
}
