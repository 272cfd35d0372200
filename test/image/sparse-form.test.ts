import test from 'ava';
import fc from 'fast-check';
import { sha512 } from '../../src/image/digest.js';
import type { FileEntry } from '../../src/image/entry.js';
import { holesBetween } from '../../src/image/entry.js';
import type { SparseForm } from '../../src/image/sparse-form.js';
import { formKey, sparseKey } from '../../src/image/sparse-form.js';

const BLOCK = 4096;

/** A file of blocks of one byte each, of which `absent` are holes where they are zeros, and what its object is. */
function fileOf(
  blocks: readonly number[],
  tail: number,
  absent: readonly boolean[],
): { file: FileEntry; object: Buffer } {
  const content = Buffer.concat([...blocks.map(byte => Buffer.alloc(BLOCK, byte)), Buffer.alloc(tail, 1)]);
  const segments: { offset: bigint; length: bigint }[] = [];
  const data: Buffer[] = [];
  for (let at = 0; at < content.length; at += BLOCK) {
    const number = at / BLOCK;
    if (blocks[number] === 0 && absent[number] === true) continue;
    const piece = content.subarray(at, at + BLOCK);
    segments.push({ offset: BigInt(at), length: BigInt(piece.length) });
    data.push(piece);
  }
  const object = Buffer.concat(data);
  const size = BigInt(content.length);
  const file: FileEntry = {
    type: 'file',
    path: Buffer.from('a'),
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0n,
    flags: 0,
    xattrs: [],
    names: [],
    size,
    holes: holesBetween(size, segments),
    digest: object.length === 0 ? null : sha512(object),
  };
  return { file, object };
}

/** The sparse form of an object, in the plainest way. */
function formOf(object: Buffer): SparseForm | undefined {
  const zeros: { start: bigint; count: bigint }[] = [];
  const rest: Buffer[] = [];
  for (let at = 0; at < object.length; at += BLOCK) {
    const piece = object.subarray(at, at + BLOCK);
    if (piece.some(byte => byte !== 0)) rest.push(piece);
    else zeros.push({ start: BigInt(at / BLOCK), count: 1n });
  }
  const left = Buffer.concat(rest);
  return zeros.length === 0 ? undefined : { digest: left.length === 0 ? null : sha512(left), zeros };
}

const blocks = fc.array(fc.constantFrom(0, 0, 1, 2), { maxLength: 9 });
const absent = fc.array(fc.boolean(), { minLength: 9, maxLength: 9 });

test('files have the same key just when they differ in nothing but holes', t => {
  fc.assert(
    fc.property(
      blocks,
      blocks,
      fc.boolean(),
      absent,
      absent,
      fc.constantFrom(0, 7),
      (a, b, same, p, q, tail) => {
        const [one, two] = [fileOf(a, tail, p), fileOf(same ? a : b, tail, q)];
        const forms = new Map<string, SparseForm>();
        for (const { file, object } of [one, two]) {
          const form = formOf(object);
          if (form !== undefined && file.digest !== null) forms.set(formKey(file.digest), form);
        }
        const equal = sparseKey(one.file, forms) === sparseKey(two.file, forms);
        t.is(equal, same || (a.length === b.length && a.every((byte, at) => byte === b[at])));
      },
    ),
    { numRuns: 3000 },
  );
});
