import test from 'ava';
import fc from 'fast-check';
import { decodePaxRecords } from '../../../src/source/tar/pax-records.js';
import { record } from './archive.js';

const decode = (body: string | Buffer) =>
  decodePaxRecords({ archive: 'test.tar' }, Buffer.from(body as string, 'latin1'));

test('records come back in order, whatever their values', t => {
  const key = fc.string({ unit: fc.constantFrom('a', '.', '%', ' ', '\xff', '\n'), minLength: 1 });
  const value = fc.uint8Array({ maxLength: 1200 }).map(bytes => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.array(fc.record({ key, value })), records => {
      const body = Buffer.concat(records.map(entry => record(Buffer.from(entry.key, 'latin1'), entry.value)));
      t.deepEqual(decode(body), records);
    }),
  );
});

test('what is not made of records is refused', t => {
  const bodies = [
    'x',
    '6 a=b',
    '5 a=b\n',
    '7 a=b\n',
    '0 a=b\n',
    '-6 a=b\n',
    ' 6 a=b\n',
    '6a=b\n',
    '6  a=b\n\0',
    '5 =b\n',
    '4 a\n',
    '3 \n',
    '2\n',
    '99999999 a=b\n',
    '6 a=b\n\0\0',
    '06x a=b\n',
    '1e1 a=bcd\n',
  ];
  for (const body of bodies) t.throws(() => decode(body), { code: 'SOURCE_DAMAGED' }, JSON.stringify(body));
});
