import { randomBytes } from 'node:crypto';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { BodyReader, decodeSizes, encodeSizes, readSent, sentBody } from '../../src/store/remote/frames.js';

test('a body of objects of any sizes has the length that is said, and gives them again', async t => {
  for (const sizes of [
    [0],
    [5],
    [0, 1, 0],
    [262_144 - 72],
    [262_144],
    [300_000, 3, 1 << 20, 0, 70_000, 100_000],
  ]) {
    const objects = sizes.map(size => {
      const bytes = randomBytes(size);
      return { digest: sha512(bytes), bytes };
    });
    const { length, pieces } = sentBody(objects);
    // Twice: a request may be made again.
    for (let time = 1; time <= 2; time++) {
      const copies: Buffer[] = [];
      for await (const piece of pieces()) copies.push(Buffer.from(piece));
      t.is(Buffer.concat(copies).length, length);
      t.true(copies.slice(0, -1).every(piece => piece.length === 262_144));
      const reader = new BodyReader(
        (async function* () {
          for (const copy of copies) yield Promise.resolve(copy);
        })(),
      );
      for (const { digest, bytes } of objects) {
        const sent = await readSent(reader);
        t.true(sent?.digest.equals(digest) === true && sent.bytes.equals(bytes));
      }
      t.is(await readSent(reader), undefined);
    }
  }
});

test('sizes are what was encoded; of what is none, nothing is taken', t => {
  const sizes = [0, undefined, 1, 2 ** 40, undefined];
  const bytes = encodeSizes(sizes);
  t.deepEqual(decodeSizes(bytes, sizes.length), sizes);
  t.is(decodeSizes(bytes, sizes.length + 1), undefined);
  t.is(decodeSizes(bytes.subarray(1), sizes.length), undefined);
  t.is(decodeSizes(Buffer.alloc(8, 0xff), 1), undefined);
});
