import { createHash } from 'node:crypto';

/** RegisterImage: 3 to 128 letters, digits, parentheses, brackets, spaces, and . / - ' @ _ */
const MOST = 128;
const DIGEST = 12;

/**
 * The name of an AMI for that of an image: a colon becomes a dot, as in the reference system, anything else that AWS
 * refuses `@HEX@`. What is too long is cut, and gets a digest.
 */
export function amiName(image: string): string {
  const name = image.replace(/[^A-Za-z0-9()[\] ./\-'@_]/gu, text =>
    text === ':' ? '.' : `@${Buffer.from(text).toString('hex')}@`,
  );
  if (name.length <= MOST) return name.padEnd(3, '_');
  const digest = createHash('sha256').update(image).digest('hex').slice(0, DIGEST);
  return `${name.slice(0, MOST - DIGEST - 1)}-${digest}`;
}
