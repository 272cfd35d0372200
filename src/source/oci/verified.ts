import { createHash } from 'node:crypto';
import type { ImageFile } from './files.js';
import { imageDamaged } from './files.js';

/** The digests that OCI has, by how they are called, and how many hex digits they have. */
const ALGORITHMS: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha512', 128],
]);

/** Whether a text is a digest that can be checked: `sha256:` or `sha512:` and hex digits in lower case. */
export function isDigest(text: string): boolean {
  const [algorithm = '', hex = ''] = text.split(':', 2);
  return (
    ALGORITHMS.get(algorithm) === hex.length && text === `${algorithm}:${hex}` && /^[0-9a-f]+$/.test(hex)
  );
}

/** Where a layout keeps what has that digest. */
export function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/**
 * The bytes of `input`, the last of them only handed out when the digest is right; whoever stops before the end knows
 * nothing. Throws `SOURCE_DAMAGED` naming `what`.
 */
export async function* verified(
  input: AsyncIterable<Buffer>,
  digest: string,
  location: string,
  what: string,
): AsyncGenerator<Buffer> {
  const hash = createHash(digest.slice(0, digest.indexOf(':')));
  let held: Buffer | undefined;
  for await (const chunk of input) {
    if (held !== undefined) yield held;
    hash.update(chunk);
    held = chunk;
  }
  const found = hash.digest('hex');
  if (!digest.endsWith(`:${found}`))
    throw imageDamaged(location, `${what} ${digest} has other bytes than its digest says`);
  if (held !== undefined) yield held;
}

/** Throws `SOURCE_DAMAGED` unless a blob is as long as its descriptor says. */
export function checkSize(file: ImageFile, size: number, digest: string, location: string): void {
  if (file.size === size) return;
  const why = `the blob ${digest} has ${String(file.size)} bytes, and ${String(size)} are said of it`;
  throw imageDamaged(location, why);
}
