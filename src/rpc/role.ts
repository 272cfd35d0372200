import { X509Certificate } from 'node:crypto';

/*
 * What a caller may do stands in its certificate, as names of the kind URI:
 *
 *   image-unpacker://role/ROLE
 */

/** Roles, each of which may do what those before it may. */
export const ROLES = ['reader', 'publisher', 'admin'] as const;
export type Role = (typeof ROLES)[number];

const NAME = /(?:^|, )URI:image-unpacker:\/\/role\/([a-z]+)(?=, |$)/g;
/** Node writes a name that could be taken for several as a quoted string. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/** The name that gives a certificate a role. */
export function roleName(role: Role): string {
  return `image-unpacker://role/${role}`;
}

/** The highest role that a certificate (DER) gives, if any. */
export function roleOf(certificate: Buffer): Role | undefined {
  const names = new X509Certificate(certificate).subjectAltName?.replace(QUOTED, '""') ?? '';
  const given = new Set([...names.matchAll(NAME)].map(match => match[1]));
  return ROLES.findLast(role => given.has(role));
}

/** Whether who has the role `has` may do what takes `takes`. */
export function mayAct(has: Role | undefined, takes: Role): boolean {
  return has !== undefined && ROLES.indexOf(has) >= ROLES.indexOf(takes);
}
