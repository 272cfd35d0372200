import test from 'ava';
import type { EntryType } from '../../src/image/entry.js';
import { canonicalXattr, xattrFault, xattrsFault } from '../../src/image/xattr.js';

const CAPABILITY = 'security.capability';
const RIGHTS = '00200000002000000000000000000000';

function xattr(name: string, hex = '') {
  return { name: Buffer.from(name, 'latin1'), value: Buffer.from(hex, 'hex') };
}

const fault = (type: EntryType, name: string, hex = ''): string | undefined =>
  xattrFault(type, xattr(name, hex));

test('the names that Linux keeps, and where', t => {
  const inodes = ['file', 'directory', 'symlink', 'character', 'block', 'fifo', 'socket'] as const;
  for (const type of inodes) {
    for (const name of ['trusted.a', 'security.a', 'trusted.\xff\n']) t.is(fault(type, name), undefined);
    const isKept = type === 'file' || type === 'directory';
    t.is(fault(type, 'user.a') === undefined, isKept, type);
    for (const name of ['', 'user.', 'os2.a', 'system.a', 'trusted.a\0', `user.${'n'.repeat(251)}`])
      t.not(fault(type, name), undefined, name);
  }
  t.is(fault('file', `user.${'n'.repeat(250)}`), undefined);
  t.is(fault('file', 'user.a', '00'.repeat(65_536)), undefined);
  t.not(fault('file', 'user.a', '00'.repeat(65_537)), undefined);
});

test('capabilities are of one of the forms that the kernel takes', t => {
  for (const hex of [`00000002${RIGHTS}`, `01000002${RIGHTS}`, `01000003${RIGHTS}e8030000`])
    t.is(fault('file', CAPABILITY, hex), undefined, hex);
  const bad = [
    '',
    `01000001${RIGHTS}`,
    `02000002${RIGHTS}`,
    `00000002${RIGHTS}00`,
    `00000002${RIGHTS}e8030000`,
    `00000003${RIGHTS}`,
    `00000003${RIGHTS}ffffffff`,
  ];
  for (const hex of bad) t.regex(fault('file', CAPABILITY, hex) ?? '', /whose value is none/, hex);
});

test('capabilities of the root of every namespace have the form that the kernel shows', t => {
  const { value } = canonicalXattr(xattr(CAPABILITY, `01000003${RIGHTS}00000000`));
  t.is(value.toString('hex'), `01000002${RIGHTS}`);
  for (const hex of [`01000003${RIGHTS}e8030000`, `00000002${RIGHTS}`])
    t.is(canonicalXattr(xattr(CAPABILITY, hex)).value.toString('hex'), hex);
  const other = {
    type: 'file' as const,
    mode: 0o755,
    xattrs: [xattr(CAPABILITY, `01000003${RIGHTS}00000000`)],
  };
  t.regex(xattrsFault(other) ?? '', /in a form that/);
});
