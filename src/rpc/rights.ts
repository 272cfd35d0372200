import { X509Certificate } from 'node:crypto';
import { checkStreamName } from '../image/name.js';

/*
 * What a caller of an image server may do stands in its certificate, as names of the kind URI:
 *
 *   image-unpacker://role/ROLE          reader, publisher, replicator or admin
 *   image-unpacker://upload/STREAM      may send images of that stream and of all streams below it
 *   image-unpacker://upload             may send images of any stream
 *
 * Whoever may do anything may read. A certificate can have several of these names. The agent knows the roles reader,
 * publisher and admin of them (role.ts).
 */

/** What takes a right. */
export type Right =
  | { kind: 'read' }
  /** To keep disk maps with images. */
  | { kind: 'publish' }
  /** To send an image of that stream, and what it needs; of any stream where none is named. */
  | { kind: 'upload'; stream?: string }
  /** To follow all that happens, and to pass on what others have sent and may send. */
  | { kind: 'replicate' }
  /** To delete, to shorten lives, to collect. */
  | { kind: 'administer' };

/** What somebody may do. */
export interface Rights {
  /** Who that is, for logs. */
  readonly name: string;
  readonly roles: ReadonlySet<string>;
  /** Streams below which it may send images; an empty text stands for all. */
  readonly uploads: readonly string[];
}

const ROLE_NAME = /^image-unpacker:\/\/role\/(reader|publisher|replicator|admin)$/;
const UPLOAD_NAME = /^image-unpacker:\/\/upload(?:\/(.+))?$/;
const ALTERNATIVE = /(?:^|, )URI:([^,"]*)(?=, |$)/g;
/** Node writes a name that could be taken for several as a quoted string. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/** Who came through a Unix socket: root, or the user that the server runs as. */
export const LOCAL_RIGHTS: Rights = { name: 'local', roles: new Set(['admin']), uploads: [''] };

/** The name that lets a certificate follow and replicate a server. */
export const REPLICATOR_NAME = 'image-unpacker://role/replicator';

/** The name that lets a certificate send images of a stream, or of all. */
export function uploadName(stream?: string): string {
  return stream === undefined ? 'image-unpacker://upload' : `image-unpacker://upload/${stream}`;
}

/** A certificate may have neither. */
interface Parsed {
  subject?: string;
  subjectAltName?: string;
}

/** What a certificate (DER) lets its holder do. Names that are not understood give nothing. */
export function rightsOf(certificate: Buffer): Rights {
  const { subject, subjectAltName } = new X509Certificate(certificate) as Parsed;
  const names = [...(subjectAltName ?? '').replace(QUOTED, '""').matchAll(ALTERNATIVE)].map(
    match => match[1]!,
  );
  const roles = new Set<string>();
  const uploads: string[] = [];
  for (const name of names) {
    const role = ROLE_NAME.exec(name)?.[1];
    if (role !== undefined) roles.add(role);
    const upload = UPLOAD_NAME.exec(name);
    if (upload !== null && isStream(upload[1])) uploads.push(upload[1] ?? '');
  }
  return { name: (subject ?? '').replaceAll('\n', ', ') || 'a certificate without a name', roles, uploads };
}

function isStream(stream: string | undefined): boolean {
  try {
    if (stream !== undefined) checkStreamName(stream);
    return true;
  } catch {
    return false;
  }
}

/** Whether somebody may do what takes that right. */
export function hasRight({ roles, uploads }: Rights, right: Right): boolean {
  if (roles.has('admin')) return true;
  switch (right.kind) {
    case 'read':
      return roles.size > 0 || uploads.length > 0;
    case 'publish':
      return roles.has('publisher') || roles.has('replicator') || uploads.length > 0;
    case 'upload':
      return roles.has('replicator') || uploads.some(each => covers(each, right.stream));
    case 'replicate':
      return roles.has('replicator');
    case 'administer':
      return false;
  }
}

function covers(granted: string, stream: string | undefined): boolean {
  return granted === '' || stream === undefined || stream === granted || stream.startsWith(`${granted}/`);
}

/** Rights as words, for people. */
export function showRights({ roles, uploads }: Rights): string[] {
  return [...roles, ...uploads.map(each => (each === '' ? 'upload' : `upload ${each}`))];
}

/** What a right is called where it lacks. */
export function showRight(right: Right): string {
  if (right.kind !== 'upload')
    return right.kind === 'administer' ? 'the role admin' : `the right to ${right.kind}`;
  return right.stream === undefined ? 'the right to upload' : `the right to upload to ${right.stream}`;
}
