import { truncateSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { PageFile } from '../../src/volume/page-file.js';
import { temporaryDirectory } from '../temporary-directory.js';

const pieces = Array.from({ length: 40 }, (_, at) => Buffer.alloc(1000 + at, at));
const parts = pieces.map((piece, at) => {
  const offset = pieces.slice(0, at).reduce((sum, { length }) => sum + length, 0);
  return { offset, length: piece.length, digest: sha512(piece) };
});

test('parts are read in the order asked', async t => {
  const file = await PageFile.open(temporaryDirectory(t), 1);
  await file.append(0, pieces);
  const order = [7, 39, 0, 7, 12];
  const read = await file.readParts(order.map(at => parts[at]!));
  t.deepEqual(
    read,
    order.map(at => pieces[at]!),
  );
  t.deepEqual(await file.readParts([]), []);
  await file.close();
});

test('many parts of all lengths are read, and the one of them that is damaged is told of', async t => {
  const many = Array.from({ length: 400 }, (_, at) => Buffer.alloc(at, at));
  let offset = 0;
  const places = many.map(piece => {
    offset += piece.length;
    return { offset: offset - piece.length, length: piece.length, digest: sha512(piece) };
  });
  const file = await PageFile.open(temporaryDirectory(t), 1);
  await file.append(0, many);
  t.deepEqual(await file.readParts(places), many);
  for (const at of [1, 111, 112, 127, 128, 239, 240, 399]) {
    const others = places.map((place, other) =>
      other === at ? { ...place, digest: sha512(many[at - 1]!) } : place,
    );
    await t.throwsAsync(file.readParts(others), {
      message: `${file.path} is damaged at ${String(places[at]!.offset)}`,
    });
  }
  await file.close();
});

for (const [how, damage] of [
  ['is not as it was written', (path: string) => writeFileSync(path, 'x', { flag: 'r+' })],
  ['ends too early', (path: string) => truncateSync(path, 10)],
] as const) {
  test(`a part that ${how} is not handed out`, async t => {
    const file = await PageFile.open(temporaryDirectory(t), 1);
    await file.append(0, pieces);
    damage(file.path);
    await t.throwsAsync(file.readParts([parts[0]!]), {
      code: 'STATE_DAMAGED',
      message: `${file.path} is damaged at 0`,
    });
    await file.close();
  });
}
