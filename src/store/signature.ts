import type { KeyObject } from 'node:crypto';
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { ImageUnpackerError } from '../image/error.js';
import { checkTags } from './record.js';
import type { ImageRecord } from './store.js';

/*
 * The signature of an image, by Ed25519 (RFC 8032). It is a tag of the image:
 *
 *   key       = "signature." key-id
 *   key-id    = 32 hex digits             the first half of the SHA-256 of the public key (SubjectPublicKeyInfo, DER)
 *   value     = base64 of 64 bytes        the signature of `signed`
 *
 *   signed    = "image-unpacker image 1" LF name LF digest LF createdAt LF *( key SP digest LF )
 *
 * The last lines are the annotations, sorted by their keys. None of these holds a line feed. The name is signed so that an
 * image cannot pass for another, and the time so that an old one cannot pass for the newest of its stream. Tags
 * and the expiry are not signed: they change. What channels name is not signed.
 */

const FORMAT = 'image-unpacker image 1';
const PREFIX = 'signature.';
const KEY_ID_LENGTH = 32;
const PUBLIC_KEY = /-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----/g;
const SIGNATURE = /^[A-Za-z0-9+/]{86}==$/;
/** As many keys as anybody has. */
const MAX_KEYS = 256;

/** A key that images may be signed with. */
export interface TrustedKey {
  readonly id: string;
  readonly key: KeyObject;
}

/** The private key in a PEM file, as `openssl genpkey -algorithm ed25519` writes it. `file` is for messages. Throws `USAGE`. */
export function parseSigningKey(pem: string, file: string): KeyObject {
  const key = orUndefined(() => createPrivateKey(pem));
  if (key?.asymmetricKeyType === 'ed25519') return key;
  const why =
    key === undefined ? 'it is no private key in PEM, or has a passphrase' : 'it is no key of Ed25519';
  const message = `Cannot sign with ${file}: ${why}; make one with openssl genpkey -algorithm ed25519`;
  throw new ImageUnpackerError('USAGE', message, { path: file });
}

/** The public keys in a PEM file, one after the other. Throws `CONFIGURATION` unless it has one, and only such of Ed25519. */
export function parseTrustedKeys(pem: string, file: string): TrustedKey[] {
  const blocks = pem.match(PUBLIC_KEY) ?? [];
  const refuse = (why: string): ImageUnpackerError => {
    const message = `Cannot use the trusted keys in ${file}: ${why}; write public keys in PEM, as openssl pkey -pubout does`;
    return new ImageUnpackerError('CONFIGURATION', message, { path: file });
  };
  if (blocks.length !== (pem.match(/-----BEGIN /g) ?? []).length)
    throw refuse('it holds something else as well');
  if (blocks.length === 0 || blocks.length > MAX_KEYS) throw refuse(`it has ${String(blocks.length)} keys`);
  return blocks.map((block, at) => {
    const key = orUndefined(() => createPublicKey(block));
    if (key?.asymmetricKeyType !== 'ed25519') throw refuse(`key ${String(at + 1)} is none of Ed25519`);
    return { id: keyId(key), key };
  });
}

/** The image with its signature by that key among its tags, in the place of an earlier one. Throws `USAGE` if it has too many tags. */
export function withSignature(record: ImageRecord, key: KeyObject): ImageRecord {
  const id = keyId(createPublicKey(key));
  const tags = { ...record.tags, [PREFIX + id]: sign(null, signedBytes(record), key).toString('base64') };
  checkTags(new Map(Object.entries(tags)));
  return { ...record, tags };
}

/**
 * Checks that one of the keys has signed the image: its content, name, time and annotations. Returns which. Throws
 * `IMAGE_UNTRUSTED`, saying whether it is not signed, signed by others, or not what was signed.
 */
export function checkSignature(record: ImageRecord, trusted: readonly TrustedKey[]): string {
  const signers = Object.keys(record.tags).filter(tag => tag.startsWith(PREFIX));
  const known = trusted.filter(({ id }) => signers.includes(PREFIX + id));
  for (const { id, key } of known) {
    const text = record.tags[PREFIX + id]!;
    if (SIGNATURE.test(text) && verify(null, signedBytes(record), key, Buffer.from(text, 'base64')))
      return id;
  }
  const by = signers.map(tag => tag.slice(PREFIX.length)).join(', ');
  const why =
    signers.length === 0
      ? 'it is not signed; sign it with imagetool sign'
      : known.length === 0
        ? `it is signed by ${by}, and none of these is trusted`
        : `it is not what ${known.map(({ id }) => id).join(', ')} signed: its record was tampered with`;
  const message = `The image ${record.name} is not trusted: ${why}`;
  throw new ImageUnpackerError('IMAGE_UNTRUSTED', message, { image: record.name, digest: record.digest });
}

/** How a public key is called. */
export function keyId(key: KeyObject): string {
  const der = key.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('hex').slice(0, KEY_ID_LENGTH);
}

function signedBytes({ name, digest, createdAt, annotations }: ImageRecord): Buffer {
  const kept = Object.entries(annotations)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, object]) => `${key} ${object}`);
  return Buffer.from([FORMAT, name, digest, createdAt, ...kept, ''].join('\n'));
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
