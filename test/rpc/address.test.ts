import test from 'ava';
import { parseAddress, showAddress } from '../../src/rpc/address.js';

test('addresses are taken apart, and shown as they are read', t => {
  t.deepEqual(parseAddress('unix:/run/a.sock', 1), { kind: 'unix', path: '/run/a.sock' });
  t.deepEqual(parseAddress('localhost', 6974), { kind: 'tcp', host: 'localhost', port: 6974 });
  t.deepEqual(parseAddress('10.0.0.1:0', 1), { kind: 'tcp', host: '10.0.0.1', port: 0 });
  t.deepEqual(parseAddress('[::1]:80', 1), { kind: 'tcp', host: '::1', port: 80 });
  t.deepEqual(parseAddress('[fe80::1]', 7), { kind: 'tcp', host: 'fe80::1', port: 7 });
  for (const text of ['unix:/run/a.sock', 'a.example:1', '[::1]:80']) {
    t.is(showAddress(parseAddress(text, 9)), text);
  }
});

test('what is no address is refused', t => {
  const long = `unix:/${'a'.repeat(107)}`;
  for (const text of [
    '',
    'unix:',
    'a:b',
    'a:65536',
    '::1',
    '[a]:1',
    'http://a:1',
    'a b',
    'a:1:2',
    'unix:/\0',
    long,
  ]) {
    t.throws(() => parseAddress(text, 1), { code: 'USAGE' }, text);
  }
});
