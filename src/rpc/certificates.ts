import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';

/** Where certificates are unless one is told otherwise. */
export const CERTIFICATE_DIRECTORY = '/etc/image-unpacker/certs';

/** What one end of a connection shows, and whom it trusts; all in PEM. */
export interface Certificates {
  /** The authorities that the certificate of the other end must come from. */
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

const HOW_TO_MAKE = "--certs names another set, and 'imageserver make-certs DIR' makes one to try with";

/**
 * Reads `ca.pem`, `cert.pem` and `key.pem` of a directory. Throws `CONFIGURATION` when one of them is missing
 * or none, when the key is not the certificate's, and when a certificate is not valid at this time.
 */
export async function readCertificates(directory: string, now = new Date()): Promise<Certificates> {
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map(name => readPem(join(directory, name))),
  );
  const [caPath, certPath, keyPath] = ['ca.pem', 'cert.pem', 'key.pem'].map(name => join(directory, name));
  checkValid(parse(ca!, caPath!), caPath!, now);
  const certificate = parse(cert!, certPath!);
  checkValid(certificate, certPath!, now);
  checkKey(certificate, key!, keyPath!);
  return { ca: ca!, cert: cert!, key: key! };
}

async function readPem(path: string): Promise<Buffer> {
  return readFile(path).catch((reason: unknown) => {
    throw wrong(path, `Cannot read the certificate file ${path}: ${(reason as Error).message}`, reason);
  });
}

function parse(pem: Buffer, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (reason) {
    throw wrong(path, `${path} is no certificate in PEM form`, reason);
  }
}

function checkValid(certificate: X509Certificate, path: string, now: Date): void {
  if (now > new Date(certificate.validTo)) {
    throw wrong(path, `The certificate ${path} expired on ${certificate.validTo}; renew it`);
  }
  if (now < new Date(certificate.validFrom)) {
    const doubt = 'check the clock of this machine';
    throw wrong(path, `The certificate ${path} is not valid before ${certificate.validFrom}; ${doubt}`);
  }
}

function checkKey(certificate: X509Certificate, pem: Buffer, path: string): void {
  let fits: boolean;
  try {
    fits = certificate.checkPrivateKey(createPrivateKey(pem));
  } catch (reason) {
    throw wrong(path, `${path} is no private key in PEM form`, reason);
  }
  if (!fits) throw wrong(path, `${path} is not the key of the certificate beside it`);
}

function wrong(path: string, message: string, cause?: unknown): ImageUnpackerError {
  return new ImageUnpackerError('CONFIGURATION', `${message}; ${HOW_TO_MAKE}`, { path }, cause);
}
