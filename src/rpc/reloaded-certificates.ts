import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
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

/** Certificates that follow their files. */
export interface ReloadedCertificates {
  /** What was there last that was good. */
  readonly current: Certificates;
  /** Ends the watch. */
  stop(): void;
}

/**
 * Reads the certificates of a directory as `readCertificates` does, and watches their files, whose replacement may come
 * file by file. Throws as `readCertificates` when what is there at first is no good.
 */
export async function watchCertificates(
  directory: string,
  listener: CertificateListener,
  lookMilliseconds = LOOK_MILLISECONDS,
): Promise<ReloadedCertificates> {
  // What changes while they are read is seen at the next look.
  let known = await fingerprint(directory);
  let current = await readCertificates(directory);
  let isBusy = false;
  let isStopped = false;
  const look = async (): Promise<void> => {
    const now = await fingerprint(directory);
    if (now === known) return;
    known = now;
    try {
      const read = await readCertificates(directory);
      if (isStopped) return;
      current = read;
      listener.changed(read);
    } catch (reason) {
      if (isStopped) return;
      listener.failed(ImageUnpackerError.from(reason, `Cannot read the certificates in ${directory}`));
    }
  };
  const turn = (): void => {
    if (isBusy) return;
    isBusy = true;
    void look().finally(() => (isBusy = false));
  };
  const timer = setInterval(turn, lookMilliseconds);
  return {
    get current() {
      return current;
    },
    stop: () => {
      isStopped = true;
      clearInterval(timer);
    },
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
