import type { Random } from './random.js';

/** Numbers at which readers go wrong. */
const BYTES = [0, 1, 2, 0x0a, 0x20, 0x2e, 0x2f, 0x30, 0x7f, 0x80, 0x81, 0xfe, 0xff];
const NUMBERS = [
  0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];
const LONGEST_SLICE = 64;

type Mutation = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

/** Changes that leave the length as it is. */
const IN_PLACE: readonly Mutation[] = [
  (bytes, random) => at(bytes, random, where => (bytes[where]! ^= 1 << random.below(8))),
  (bytes, random) => at(bytes, random, where => (bytes[where] = random.of(BYTES))),
  (bytes, random) => at(bytes, random, where => (bytes[where] = random.below(256))),
  (bytes, random) => at(bytes, random, where => (bytes[where] = bytes[where]! + random.of([1, -1]))),
  (bytes, random) =>
    at(bytes, random, where => {
      if (where + 4 <= bytes.length) bytes.writeUInt32LE(random.of(NUMBERS), where);
    }),
  (bytes, random) =>
    at(bytes, random, where => {
      if (where + 2 <= bytes.length) bytes.writeUInt16LE(random.of(NUMBERS) & 0xffff, where);
    }),
  (bytes, random) =>
    at(bytes, random, where =>
      bytes.copy(bytes, where, random.below(bytes.length), random.below(bytes.length) + 1),
    ),
  (bytes, random, other) => at(bytes, random, where => other.copy(bytes, where, ...slice(other, random))),
];

/** Changes after which all that follows is elsewhere. */
const MOVING: readonly Mutation[] = [
  (bytes, random) => {
    const [start, end] = slice(bytes, random);
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  },
  (bytes, random, other) => {
    const where = random.below(bytes.length + 1);
    return Buffer.concat([
      bytes.subarray(0, where),
      other.subarray(...slice(other, random)),
      bytes.subarray(where),
    ]);
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => Buffer.concat([bytes, Buffer.alloc(1 + random.below(16), random.of(BYTES))]),
];

/** A copy of `bytes` with some changes; parts of `other` may come into it. */
export function mutate(bytes: Buffer, random: Random, other: Buffer, inPlace = false): Buffer {
  let changed = Buffer.from(bytes);
  for (let count = 1 + random.below(random.onceIn(4) ? 16 : 4); count > 0 && changed.length > 0; count--) {
    const mutations = inPlace || !random.onceIn(3) ? IN_PLACE : MOVING;
    changed = Buffer.from(random.of(mutations)(changed, random, other));
  }
  return changed;
}

function at(bytes: Buffer, random: Random, change: (where: number) => void): Buffer {
  if (bytes.length > 0) change(random.below(bytes.length));
  return bytes;
}

function slice(bytes: Buffer, random: Random): [start: number, end: number] {
  const start = random.below(bytes.length + 1);
  return [start, Math.min(bytes.length, start + random.below(LONGEST_SLICE))];
}
