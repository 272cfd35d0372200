import test from 'ava';
import fc from 'fast-check';
import {
  baseName,
  checkPath,
  comparePaths,
  displayBytes,
  displayPath,
  isBelow,
  joinPath,
  MAX_PATH_BYTES,
  parentPath,
  pathFault,
} from '../../src/image/path.js';

/** Few bytes, among them all that sort near the slash. */
const name = fc
  .array(fc.constantFrom(1, 0x2e, 0x2f - 2, 0x30, 0x61, 0xff), { minLength: 1, maxLength: 3 })
  .map(bytes => Buffer.from(bytes))
  .filter(bytes => !['.', '..'].includes(bytes.toString('latin1')));
const names = fc.array(name, { maxLength: 4 });
const join = (parts: readonly Buffer[]): Buffer =>
  parts.reduce((path, part) => joinPath(path, part), Buffer.alloc(0));

function compareNames(a: readonly Buffer[], b: readonly Buffer[]): number {
  for (const [at, part] of a.entries()) {
    if (b[at] === undefined) return 1;
    const order = Buffer.compare(part, b[at]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

test('paths are sorted as lists of names are', t => {
  fc.assert(
    fc.property(names, names, (a, b) => {
      t.is(Math.sign(comparePaths(join(a), join(b))), Math.sign(compareNames(a, b)));
    }),
    { numRuns: 2000 },
  );
});

test('a path is taken apart as it was put together', t => {
  fc.assert(
    fc.property(names, name, (parts, last) => {
      const path = join([...parts, last]);
      t.true(parentPath(path).equals(join(parts)));
      t.true(baseName(path).equals(last));
      t.is(pathFault(path), undefined);
    }),
  );
});

test('what is below a directory has its names first', t => {
  fc.assert(
    fc.property(names, names, (a, b) => {
      const isPrefix = a.length < b.length && a.every((part, at) => part.equals(b[at]!));
      t.is(isBelow(join(b), join(a)), isPrefix);
    }),
    { numRuns: 1000 },
  );
});

for (const [path, fault] of [
  ['/a', /empty component/],
  ['a/', /empty component/],
  ['a//b', /empty component/],
  ['.', /"\."/],
  ['a/..', /"\.\."/],
  ['../a', /"\.\."/],
  ['a\0b', /NUL/],
  ['x'.repeat(256), /longer than 255/],
  ['x/'.repeat(MAX_PATH_BYTES / 2) + 'yy', /longer than 65535/],
] as const) {
  test(`refused: ${JSON.stringify(path.slice(0, 10))}, ${String(path.length)} long`, t => {
    t.regex(pathFault(Buffer.from(path)) ?? '', fault);
    t.throws(() => checkPath(Buffer.from(path)), { code: 'IMAGE_INVALID', message: fault });
  });
}

test('the root, dots that mean nothing and the longest names are paths', t => {
  for (const path of ['', '...', '.a', 'a/..b', 'x'.repeat(255)])
    t.is(pathFault(Buffer.from(path)), undefined);
});

test('paths are shown from the root, with bytes that are no text as they are', t => {
  t.is(displayPath(Buffer.alloc(0)), '/');
  t.is(displayPath(Buffer.from('é/100%')), '/é/100%');
  t.is(displayPath(Buffer.from([0x61, 0xff, 0x25, 0x20])), '/a%FF%25%20');
  t.is(displayBytes(Buffer.from([0xff])), '%FF');
});
