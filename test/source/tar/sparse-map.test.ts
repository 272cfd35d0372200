import test from 'ava';
import fc from 'fast-check';
import { holesBetween, segmentsOf, type Segment } from '../../../src/image/entry.js';
import { END, base256, header, padded, pax, readTar, withData, type ReadBack } from './archive.js';

const octal = (value: bigint) =>
  value < 8n ** 11n ? Buffer.from(`${value.toString(8).padStart(11, '0')}\0`) : base256(value, 12);
const pairsOf = (segments: readonly Segment[]) => segments.flatMap(({ offset, length }) => [offset, length]);

/** What a file of zeros with `segments` of something else has in its data segments. */
function expectedData(size: bigint, segments: readonly Segment[], stored: Buffer): Buffer {
  const whole = Buffer.alloc(Number(size));
  let at = 0;
  for (const { offset, length } of segments)
    at += stored.copy(whole, Number(offset), at, at + Number(length));
  const parts = segmentsOf(size, holesBetween(size, segments));
  return Buffer.concat(
    parts.map(({ offset, length }) => whole.subarray(Number(offset), Number(offset + length))),
  );
}

type Writer = (size: bigint, segments: readonly Segment[], stored: Buffer) => Buffer[];

function oldGnu(size: bigint, segments: readonly Segment[], stored: Buffer): Buffer[] {
  const numbers = pairsOf(segments).map(octal);
  const patch = Buffer.alloc(512 - 386);
  Buffer.concat(numbers.slice(0, 8)).copy(patch);
  patch[96] = numbers.length > 8 ? 1 : 0;
  octal(size).copy(patch, 97);
  const blocks: Buffer[] = [];
  for (let at = 8; at < numbers.length; at += 42) {
    const block = Buffer.alloc(512);
    Buffer.concat(numbers.slice(at, at + 42)).copy(block);
    block[504] = numbers.length > at + 42 ? 1 : 0;
    blocks.push(block);
  }
  const first = header({
    name: 's',
    type: 'S',
    magic: 'ustar  ',
    size: stored.length,
    patch: { at: 386, bytes: patch },
  });
  return [first, ...blocks, padded(stored)];
}

const common = (size: bigint, segments: readonly Segment[]): [string, string][] => [
  ['GNU.sparse.size', String(size)],
  ['GNU.sparse.numblocks', String(segments.length)],
];

const writers: Record<string, Writer> = {
  'old GNU': oldGnu,
  '0.0': (size, segments, stored) => [
    pax([
      ...common(size, segments),
      ...segments.flatMap(({ offset, length }): [string, string][] => [
        ['GNU.sparse.offset', String(offset)],
        ['GNU.sparse.numbytes', String(length)],
      ]),
    ]),
    withData({ name: 's' }, stored),
  ],
  '0.1': (size, segments, stored) => [
    pax([
      ...common(size, segments),
      ['GNU.sparse.name', 's'],
      ['GNU.sparse.map', pairsOf(segments).join(',')],
    ]),
    withData({ name: 'GNUSparseFile.1/s' }, stored),
  ],
  '1.0': (size, segments, stored) => [
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 's'],
      ['GNU.sparse.realsize', String(size)],
    ]),
    withData(
      { name: 'GNUSparseFile.1/s' },
      Buffer.concat([padded(Buffer.from(`${[segments.length, ...pairsOf(segments)].join('\n')}\n`)), stored]),
    ),
  ],
};

/** Ranges anywhere, also touching and empty, as no writer of today makes them but a map may have them. */
const layout = fc
  .array(fc.tuple(fc.nat(20_000), fc.nat(9_000)), { minLength: 1, maxLength: 60 })
  .chain(steps => fc.tuple(fc.constant(steps), fc.nat(20_000)))
  .map(([steps, tail]) => {
    const segments: Segment[] = [];
    let end = 0n;
    for (const [gap, length] of steps) {
      segments.push({ offset: end + BigInt(gap), length: BigInt(length) });
      end += BigInt(gap + length);
    }
    return { size: end + BigInt(tail), segments };
  });

for (const [version, write] of Object.entries(writers)) {
  test(`sparse map ${version}: holes and data come in as they were, to the byte`, async t => {
    await fc.assert(
      fc.asyncProperty(layout, async ({ size, segments }) => {
        const stored = Buffer.alloc(Number(segments.reduce((sum, { length }) => sum + length, 0n)), 'data');
        const archive = Buffer.concat([
          ...write(size, segments, stored),
          withData({ name: 'next' }, 'x'),
          END,
        ]);
        const [entry, next] = await readTar(archive);
        t.is(next?.data?.toString(), 'x');
        checkFile(t, entry, {
          size,
          holes: holesBetween(size, segments),
          data: expectedData(size, segments, stored),
        });
      }),
      { numRuns: 40 },
    );
  });
}

function checkFile(
  t: { is(a: unknown, b: unknown): void; deepEqual(a: unknown, b: unknown): void; true(a: boolean): void },
  entry: ReadBack | undefined,
  expected: { size: bigint; holes: unknown; data: Buffer },
): void {
  if (entry?.type !== 'file') throw new Error('no file');
  t.is(entry.path.toString(), 's');
  t.is(entry.size, expected.size);
  t.deepEqual(entry.holes, expected.holes);
  t.true((entry.data ?? Buffer.alloc(0)).equals(expected.data));
}

test('a file that is one hole has no data', async t => {
  for (const write of Object.values(writers)) {
    const size = 2n ** 40n;
    const archive = Buffer.concat([...write(size, [{ offset: size, length: 0n }], Buffer.alloc(0)), END]);
    const [entry] = await readTar(archive);
    t.like(entry, {
      size,
      holes: [{ start: 0n, count: 2n ** 28n }],
      content: { kind: 'stored', digest: null },
    });
  }
});

test('zeros that were packed are data', async t => {
  const [entry] = await readTar(Buffer.concat([withData({ name: 'z' }, Buffer.alloc(8192)), END]));
  t.like(entry, { size: 8192n, holes: [], data: Buffer.alloc(8192) });
});

const at = (offset: bigint, length: bigint): Segment => ({ offset, length });
const wrong: [string, bigint, Segment[], number][] = [
  ['ranges out of order', 100n, [at(50n, 10n), at(0n, 10n)], 20],
  ['ranges that overlap', 100n, [at(0n, 10n), at(5n, 10n)], 20],
  ['a range beyond the size', 100n, [at(95n, 10n)], 10],
  ['an end beyond the size', 100n, [at(0n, 10n), at(101n, 0n)], 10],
  ['less data than the map says', 100n, [at(0n, 20n)], 10],
  ['more data than the map says', 100n, [at(0n, 10n)], 20],
];

for (const [what, size, segments, stored] of wrong) {
  test(`refused: ${what}`, async t => {
    for (const [version, write] of Object.entries(writers)) {
      const archive = Buffer.concat([...write(size, segments, Buffer.alloc(stored, 'd')), END]);
      await t.throwsAsync(readTar(archive), { code: 'SOURCE_DAMAGED', message: /\/s .*sparse map/ }, version);
    }
  });
}

test('maps that are ill-formed, or of an unknown kind, are refused', async t => {
  const leading = (map: string, size = 512) => [
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', '100'],
    ]),
    withData({ name: 's', size }, padded(Buffer.from(map))),
  ];
  const cases: [string, Buffer[]][] = [
    ['SOURCE_DAMAGED', leading('x\n')],
    ['SOURCE_DAMAGED', leading('1\n0\n0\n5\n')],
    ['SOURCE_DAMAGED', leading('0\nx')],
    ['SOURCE_DAMAGED', leading('')],
    ['SOURCE_DAMAGED', leading('1\n0\n', 512)],
    ['SOURCE_DAMAGED', leading('0\n', 100)],
    ['SOURCE_DAMAGED', leading('9'.repeat(512))],
    ['SOURCE_UNSUPPORTED', leading('262145\n')],
    [
      'SOURCE_UNSUPPORTED',
      [
        pax([
          ['GNU.sparse.major', '2'],
          ['GNU.sparse.minor', '0'],
        ]),
        header({}),
      ],
    ],
    ['SOURCE_DAMAGED', [pax([['GNU.sparse.name', 's']]), header({})]],
    [
      'SOURCE_DAMAGED',
      [pax([...common(9n, []), ['GNU.sparse.numbytes', '0'], ['GNU.sparse.offset', '0']]), header({})],
    ],
    [
      'SOURCE_DAMAGED',
      [
        pax([
          ['GNU.sparse.size', '9'],
          ['GNU.sparse.numblocks', '2'],
          ['GNU.sparse.map', '0,0'],
        ]),
        header({}),
      ],
    ],
    [
      'SOURCE_DAMAGED',
      [
        pax([
          ['GNU.sparse.size', '9'],
          ['GNU.sparse.numblocks', '1'],
          ['GNU.sparse.map', '0,0,9'],
        ]),
        header({}),
      ],
    ],
    ['SOURCE_UNSUPPORTED', [header({ type: 'S' })]],
    [
      'SOURCE_DAMAGED',
      [header({ type: 'S', magic: 'ustar  ', patch: { at: 386, bytes: Buffer.alloc(24, 'x') } })],
    ],
    [
      'SOURCE_DAMAGED',
      [header({ type: 'S', magic: 'ustar  ', patch: { at: 483, bytes: base256(-1n, 12) } })],
    ],
  ];
  for (const [index, [code, parts]] of cases.entries()) {
    await t.throwsAsync(readTar(Buffer.concat([...parts, END])), { code }, String(index));
  }
});

test('an endless old GNU map is refused before it fills the memory', async t => {
  const more = Buffer.alloc(512, octal(0n));
  more[504] = 1;
  const patch = Buffer.alloc(512 - 386);
  patch[96] = 1;
  const first = header({ name: 's', type: 'S', magic: 'ustar  ', patch: { at: 386, bytes: patch } });
  const archive = Buffer.concat([first, ...Array.from({ length: 13_000 }, () => more)]);
  await t.throwsAsync(readTar(archive), { code: 'SOURCE_UNSUPPORTED', message: /pieces/ });
});
