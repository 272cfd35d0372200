import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { Hole } from '../../src/image/entry.js';
import type { FileData } from '../../src/store/derivable.js';
import { isDerivable } from '../../src/store/derivable.js';

const BLOCK = 4096n;

/** A file of so many blocks, of which those from the `data`th on are a hole. */
function file(blocks: bigint, data: bigint): FileData {
  const holes: Hole[] = data < blocks ? [{ start: data, count: blocks - data }] : [];
  return { size: blocks * BLOCK, holes, digest: sha512(Buffer.from(`${String(blocks)} ${String(data)}`)) };
}

test('a file with other holes may be made of another one', t => {
  t.true(isDerivable(file(10n, 10n), file(10n, 8n)));
  t.true(isDerivable(file(10n, 8n), file(10n, 10n)));
  t.false(isDerivable(file(10n, 8n), file(10n, 8n)));
  t.false(isDerivable({ ...file(10n, 8n), digest: sha512(Buffer.of(1)) }, file(10n, 8n)));
  t.false(isDerivable(file(11n, 8n), file(10n, 8n)));
  t.false(isDerivable(file(10n, 8n), { ...file(10n, 0n), digest: null }));
});

test('nothing large is made of what is small, nor what takes long', t => {
  t.true(isDerivable(file(20n, 20n), file(20n, 10n)));
  t.false(isDerivable(file(20n, 20n), file(20n, 9n)));
  t.false(isDerivable(file(1n << 50n, 1n << 50n), file(1n << 50n, 1n)));
  const most = (1n << 30n) / BLOCK;
  t.true(isDerivable(file(most, most), file(most, most - 1n)));
  t.false(isDerivable(file(most + 1n, most + 1n), file(most + 1n, most)));
});
