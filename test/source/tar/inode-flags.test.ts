import test from 'ava';
import { INODE_FLAGS } from '../../../src/image/entry.js';
import { decodeFlags } from '../../../src/source/tar/inode-flags.js';

const decode = (text: string) =>
  decodeFlags({ archive: 'test.tar', path: Buffer.from('f') }, Buffer.from(text));
const { sync, immutable, append, nodump, noatime, dirsync } = INODE_FLAGS;

test('every flag that an image holds is known by all its names', t => {
  t.is(decode('sappnd,nodump,noatime,sync'), append | nodump | noatime | sync);
  t.is(decode('schg'), immutable);
  t.is(decode('dirsync'), dirsync);
  for (const name of ['uimmutable', 'uchg', 'immutable', 'schange']) t.is(decode(name), immutable, name);
  for (const name of ['uappnd', 'append', 'sappend']) t.is(decode(name), append, name);
});

test('flags of storage are passed over, and flags that are not set', t => {
  t.is(decode('nocow,notail,extent,journal-data,compress,schg,projinherit'), immutable);
  t.is(decode('noschg,dump,atime,nosync,nocompress'), 0);
  t.is(decode(''), 0);
});

test('unknown flags are refused', t => {
  for (const text of ['opaque', 'schg,hidden', 'constructor', '__proto__', 'nofuture']) {
    t.throws(() => decode(text), { code: 'SOURCE_UNSUPPORTED' }, text);
  }
});
