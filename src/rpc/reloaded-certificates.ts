import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageUnpackerError } from '../image/error.js';
import { ImageUnpackerError as Failure } from '../image/error.js';
import type { Certificates } from './certificates.js';
import { readCertificates } from './certificates.js';

/** Three calls of stat so often cost nothing; who renews a certificate does so days before it is due. */
const LOOK_MILLISECONDS = 2000;

/** What is told of certificates that have changed. */
export interface CertificateListener {
  changed: (certificates: Certificates) => void;
  /** What is there now is no good; what was there before counts on. Told once for each change. */
  failed: (error: ImageUnpackerError) => void;
}

/** Watches the files of certificates, whose replacement may come file by file. The result ends the watch. */
export function watchCertificates(directory: string, listener: CertificateListener): () => void {
  let known: string | undefined;
  let isBusy = false;
  const look = async (): Promise<void> => {
    const now = await fingerprint(directory);
    if (now === known) return;
    const isFirst = known === undefined;
    known = now;
    if (isFirst) return;
    try {
      listener.changed(await readCertificates(directory));
    } catch (reason) {
      listener.failed(Failure.from(reason, `Cannot read the certificates in ${directory}`));
    }
  };
  const turn = (): void => {
    if (isBusy) return;
    isBusy = true;
    void look().finally(() => (isBusy = false));
  };
  turn();
  const timer = setInterval(turn, LOOK_MILLISECONDS);
  return () => {
    clearInterval(timer);
  };
}

async function fingerprint(directory: string): Promise<string> {
  const found = ['ca.pem', 'cert.pem', 'key.pem'].map(name =>
    stat(join(directory, name), { bigint: true }).then(
      ({ ino, size, mtimeNs, ctimeNs }) => [ino, size, mtimeNs, ctimeNs].join(),
      () => 'missing',
    ),
  );
  return (await Promise.all(found)).join(' ');
}
