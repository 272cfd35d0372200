import test from 'ava';
import fc from 'fast-check';
import { END, header, pax, readTar, withData } from './archive.js';

/*
 * Entries of every kind with any bytes for names, written as pax and read back.
 */

const byte = fc.integer({ min: 1, max: 255 }).filter(value => value !== 0x2f);
const name = fc
  .array(byte, { minLength: 1, maxLength: 40 })
  .map(bytes => Buffer.from(bytes))
  .filter(bytes => !['.', '..'].includes(bytes.toString('latin1')));
const path = fc
  .array(name, { minLength: 1, maxLength: 6 })
  .map(names => Buffer.from(names.map(part => part.toString('latin1')).join('/'), 'latin1'));
const id = fc.integer({ min: 0, max: 2 ** 32 - 2 });
const xattr = fc.record({
  name: fc
    .tuple(fc.constantFrom('user.', 'trusted.', 'security.'), name)
    .map(([space, rest]) => Buffer.concat([Buffer.from(space), rest])),
  value: fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
});
const inode = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: id,
  gid: id,
  mtime: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
  flags: fc.constant(0),
  xattrs: fc
    .uniqueArray(xattr, { selector: entry => entry.name.toString('latin1'), maxLength: 4 })
    .map(list => list.sort((a, b) => a.name.compare(b.name))),
});

const entry = fc.oneof(
  fc.tuple(path, inode, fc.uint8Array({ maxLength: 2000 })).map(([at, metadata, bytes]) => ({
    expected: { type: 'file', path: at, size: BigInt(bytes.length), ...metadata } as const,
    type: '0',
    data: Buffer.from(bytes),
  })),
  fc.tuple(path, inode).map(([at, metadata]) => ({
    expected: { type: 'directory', path: at, ...metadata } as const,
    type: '5',
  })),
  fc
    .tuple(path, inode)
    .map(([at, metadata]) => ({ expected: { type: 'fifo', path: at, ...metadata } as const, type: '6' })),
  fc.tuple(path, inode, path).map(([at, metadata, target]) => ({
    expected: { type: 'symlink', path: at, target, ...metadata, mode: 0o777 } as const,
    type: '2',
    link: target,
  })),
  fc.tuple(path, inode, fc.nat(4095), fc.nat(2 ** 20 - 1)).map(([at, metadata, major, minor]) => ({
    expected: { type: 'block', path: at, major, minor, ...metadata } as const,
    type: '4',
  })),
  fc.tuple(path, path).map(([at, target]) => ({
    expected: { type: 'link', path: at, target } as const,
    type: '1',
    link: target,
  })),
);

type Written = typeof entry extends fc.Arbitrary<infer T> ? T : never;

function paxTime(nanoseconds: bigint): string {
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  return `${nanoseconds < 0n ? '-' : ''}${String(size / 1_000_000_000n)}.${String(size % 1_000_000_000n).padStart(9, '0')}`;
}

function write(written: Written): Buffer {
  const { expected, type } = written;
  const records: [string | Buffer, string | Buffer][] = [['path', expected.path]];
  if ('link' in written) records.push(['linkpath', written.link]);
  let mode = 0o644;
  let device = {};
  if (expected.type !== 'link') {
    mode = expected.mode;
    records.push(
      ['uid', String(expected.uid)],
      ['gid', String(expected.gid)],
      ['mtime', paxTime(expected.mtime)],
    );
    for (const { name: key, value } of expected.xattrs) {
      const encoded = key.toString('latin1').replaceAll('%', '%25').replaceAll('=', '%3D');
      records.push([Buffer.from(`SCHILY.xattr.${encoded}`, 'latin1'), value]);
    }
  }
  if (expected.type === 'block') {
    records.push(['SCHILY.devminor', String(expected.minor)]);
    device = { major: `${expected.major.toString(8).padStart(7, '0')}\0` };
  }
  const fields = { type, mode: `${mode.toString(8).padStart(7, '0')}\0`, ...device };
  const body = 'data' in written ? withData(fields, written.data) : header(fields);
  return Buffer.concat([pax(records), body]);
}

test('what was written comes back, whatever its names, numbers and attributes', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 100, max: 5000 }),
      async (list, chunk) => {
        const read = await readTar(Buffer.concat([...list.map(write), END]), chunk);
        t.is(read.length, list.length);
        list.forEach((written, index) => {
          const { data = Buffer.alloc(0), ...back } = read[index]!;
          const { content, holes, ...rest } = { content: undefined, holes: [], ...back };
          t.deepEqual(rest as unknown, written.expected);
          t.deepEqual([data, holes], ['data' in written ? written.data : Buffer.alloc(0), []]);
          t.is(content === undefined, written.expected.type !== 'file');
        });
      },
    ),
    { numRuns: 200 },
  );
});
