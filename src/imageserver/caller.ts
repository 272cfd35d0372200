import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { ImageUnpackerError } from '../image/error.js';
import type { Right, Rights } from '../rpc/rights.js';
import { hasRight, LOCAL_RIGHTS, rightsOf, showRight } from '../rpc/rights.js';

/** Nobody knows who that is. */
const NOBODY: Rights = { name: 'nobody', roles: new Set(), uploads: [] };
/** A certificate is read once for each connection. */
const known = new WeakMap<object, Rights>();

/** What who is at the other end of a connection may do: a Unix socket was looked at when it was accepted. */
export function callerOf(socket: Socket): Rights {
  // Over TLS a connection without a good certificate was refused.
  if (!(socket instanceof TLSSocket)) return LOCAL_RIGHTS;
  const { raw } = socket.getPeerCertificate() as { raw?: Buffer };
  return rightsOfConnection(socket, raw);
}

/** The same by what gRPC knows of a connection; without a certificate it is a Unix socket. */
export function rightsOfConnection(connection: object, certificate: Buffer | undefined): Rights {
  let rights = known.get(connection);
  if (rights === undefined) {
    rights = certificate === undefined ? NOBODY : rightsOf(certificate);
    known.set(connection, rights);
  }
  return rights;
}

/** Throws `NO_PERMISSION` unless somebody may do what takes that right. */
export function require(caller: Rights, right: Right): void {
  if (hasRight(caller, right)) return;
  throw new ImageUnpackerError(
    'NO_PERMISSION',
    `This takes ${showRight(right)}, which the certificate of ${caller.name} does not give; use one that does`,
  );
}
