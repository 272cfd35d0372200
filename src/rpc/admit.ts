import { ImageUnpackerError } from '../image/error.js';
import type { Role } from './role.js';
import { mayAct, roleOf } from './role.js';
import type { Trust } from './server.js';

/** What is known of a caller. */
interface Call {
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } };
}

/** Throws `NO_PERMISSION` unless the caller may do what takes the role. */
export function admit(call: Call, trust: Trust, role: Role): void {
  // Who got through to a Unix socket was looked at there.
  if (trust === 'peer') return;
  const certificate = call.getAuthContext().sslPeerCertificate?.raw;
  const has = certificate === undefined ? undefined : roleOf(certificate);
  if (mayAct(has, role)) return;
  const why = has === undefined ? 'gives no role' : `gives the role ${has}`;
  throw new ImageUnpackerError(
    'NO_PERMISSION',
    `This takes the role ${role}, and your certificate ${why}; use one with that role`,
  );
}
