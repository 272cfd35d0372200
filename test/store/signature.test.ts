import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  checkSignature,
  keyId,
  parseSigningKey,
  parseTrustedKeys,
  withSignature,
} from '../../src/store/signature.js';
import type { ImageRecord } from '../../src/store/store.js';
import { temporaryDirectory } from '../temporary-directory.js';

const record: ImageRecord = {
  name: 'base/os/1',
  digest: 'ab'.repeat(64),
  createdAt: '2026-11-26T09:00:00.000Z',
  expiresAt: null,
  entries: 5,
  bytes: 8n,
  tags: { release: '12' },
  annotations: { log: 'cd'.repeat(64), packages: 'ef'.repeat(64) },
};

function pair(type: 'ed25519' | 'ed448' = 'ed25519'): { secret: string; open: string } {
  const { privateKey, publicKey } = generateKeyPairSync(type as 'ed25519');
  return {
    secret: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    open: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  };
}

const [mine, other] = [pair(), pair()];
const key = parseSigningKey(mine.secret, 'mine');
const trusted = parseTrustedKeys(mine.open, 'keys');
const signed = withSignature(record, key);

test('what was signed is trusted, whatever becomes of its tags and expiry', t => {
  t.is(checkSignature(signed, trusted), trusted[0]!.id);
  const later = { ...signed, expiresAt: record.createdAt, tags: { ...signed.tags, release: '13' } };
  t.notThrows(() => checkSignature(later, trusted));
  const turned = { packages: record.annotations['packages']!, log: record.annotations['log']! };
  t.notThrows(() => checkSignature({ ...signed, annotations: turned }, trusted));
});

for (const [what, change] of [
  ['the content', { digest: 'ba'.repeat(64) }],
  ['the name', { name: 'base/os/2' }],
  ['the time', { createdAt: '2026-11-26T09:00:00.001Z' }],
  ['an annotation', { annotations: { ...record.annotations, log: '00'.repeat(64) } }],
  ['an annotation that is more', { annotations: { ...record.annotations, more: '00'.repeat(64) } }],
  ['an annotation that is gone', { annotations: {} }],
  ['the signature', { tags: { [`signature.${trusted[0]!.id}`]: Buffer.alloc(64, 7).toString('base64') } }],
  ['a signature that is none', { tags: { [`signature.${trusted[0]!.id}`]: 'x' } }],
] as const) {
  test(`tampered with: ${what}`, t => {
    t.throws(() => checkSignature({ ...signed, ...change }, trusted), {
      code: 'IMAGE_UNTRUSTED',
      message: /tampered/,
    } as object);
  });
}

test('one that is not signed, or by others only, is refused; one of several is enough', t => {
  t.throws(() => checkSignature(record, trusted), { message: /not signed/ });
  const theirs = withSignature(record, parseSigningKey(other.secret, 'other'));
  t.throws(() => checkSignature(theirs, trusted), { message: /none of these is trusted/ });
  t.throws(() => checkSignature(signed, []), { message: /none of these/ });
  t.notThrows(() => checkSignature(withSignature(theirs, key), trusted));
  t.notThrows(() => checkSignature(theirs, parseTrustedKeys(`${mine.open}\n${other.open}`, 'both')));
  // The signature of one key under the name of another.
  const forged = { ...record, tags: { [`signature.${trusted[0]!.id}`]: Object.values(theirs.tags).at(-1)! } };
  t.throws(() => checkSignature(forged, trusted), { message: /tampered/ });
});

test('keys that are none, or of another kind, are refused', t => {
  t.throws(() => parseSigningKey(mine.open, 'file'), { message: /no private key/ });
  t.throws(() => parseSigningKey(pair('ed448').secret, 'file'), { message: /no key of Ed25519/ });
  t.throws(() => parseTrustedKeys('', 'file'), { message: /0 keys/ });
  t.throws(() => parseTrustedKeys(mine.secret, 'file'), { message: /something else/ });
  t.throws(() => parseTrustedKeys(`${mine.open}${mine.secret}`, 'file'), { message: /something else/ });
  t.throws(() => parseTrustedKeys(pair('ed448').open, 'file'), { message: /none of Ed25519/ });
  t.throws(() => parseTrustedKeys(mine.open.replace('MCow', 'MCo'), 'file'), { message: /none of Ed25519/ });
});

test('keys as openssl makes them', t => {
  const directory = temporaryDirectory(t);
  const [secret, open] = [join(directory, 'key.pem'), join(directory, 'public.pem')];
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', secret]);
  execFileSync('openssl', ['pkey', '-in', secret, '-pubout', '-out', open]);
  const read = parseTrustedKeys(readFileSync(open, 'latin1'), open);
  const made = withSignature(record, parseSigningKey(readFileSync(secret, 'latin1'), secret));
  t.is(checkSignature(made, read), keyId(read[0]!.key));
});
