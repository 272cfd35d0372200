import { open } from 'node:fs/promises';
import type { KeyObject } from 'node:crypto';
import { ImageUnpackerError } from '../image/error.js';
import { parseSigningKey, parseTrustedKeys, type TrustedKey } from './signature.js';

/** More than any number of keys takes. */
const MAX_BYTES = 1 << 20;

/** The private key in `file`. Throws `USAGE`. */
export async function readSigningKey(file: string): Promise<KeyObject> {
  return parseSigningKey(await readText(file), file);
}

/** The public keys in `file`. Throws `CONFIGURATION`, `USAGE` if it cannot be read. */
export async function readTrustedKeys(file: string): Promise<TrustedKey[]> {
  return parseTrustedKeys(await readText(file), file);
}

/** The same as text, checked: for another process. */
export async function readTrustedKeysText(file: string): Promise<string> {
  const text = await readText(file);
  parseTrustedKeys(text, file);
  return text;
}

async function readText(file: string): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, null);
      return buffer.toString('latin1', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (reason) {
    const message = `Cannot read keys from ${file}: ${(reason as Error).message}`;
    throw new ImageUnpackerError('USAGE', message, { path: file }, reason);
  }
}
