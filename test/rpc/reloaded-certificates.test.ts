import { copyFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import type { ImageUnpackerError } from '../../src/image/error.js';
import type { Certificates } from '../../src/rpc/certificates.js';
import { makeCertificates } from '../../src/rpc/make-certificates.js';
import { watchCertificates } from '../../src/rpc/reloaded-certificates.js';
import { temporaryDirectory } from '../temporary-directory.js';

const LOOK_MILLISECONDS = 20;
const DEADLINE_MILLISECONDS = 120_000;
const FILES = ['ca.pem', 'cert.pem', 'key.pem'];

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + DEADLINE_MILLISECONDS;
  while (!holds()) {
    if (Date.now() > end) throw new Error('it did not happen');
    await setTimeout(LOOK_MILLISECONDS);
  }
}

test('certificates whose files are replaced one by one count when they fit together', async t => {
  const root = temporaryDirectory(t);
  const [used, next] = [join(root, 'used'), join(root, 'next')];
  for (const directory of [used, next]) await makeCertificates({ directory, hosts: ['localhost'], days: 2 });
  const changed: Certificates[] = [];
  const failed: ImageUnpackerError[] = [];
  const listener = {
    changed: (each: Certificates) => void changed.push(each),
    failed: (each: ImageUnpackerError) => void failed.push(each),
  };
  const watch = await watchCertificates(used, listener, LOOK_MILLISECONDS);
  t.teardown(() => {
    watch.stop();
  });
  const before = watch.current;
  const replace = (name: string): void => {
    copyFileSync(join(next, name), join(used, 'new'));
    renameSync(join(used, 'new'), join(used, name));
  };

  replace('cert.pem');
  await until(() => failed.length > 0);
  t.regex(failed[0]!.message, /is not the key of the certificate/);
  t.is(watch.current, before);
  replace('key.pem');
  replace('ca.pem');
  await until(() => changed.length > 0 && !watch.current.ca.equals(before.ca));
  t.false(watch.current.key.equals(before.key));
  t.is(watch.current, changed.at(-1)!);

  const told = failed.length;
  for (const name of FILES) rmSync(join(used, name));
  await until(() => failed.length > told);
  t.is(watch.current, changed.at(-1)!);

  watch.stop();
  const end = [changed.length, failed.length];
  writeFileSync(join(used, 'cert.pem'), 'none');
  await setTimeout(10 * LOOK_MILLISECONDS);
  t.deepEqual([changed.length, failed.length], end);
});

test('what is no good at first is refused', async t => {
  const listener = { changed: () => undefined, failed: () => undefined };
  await t.throwsAsync(watchCertificates(temporaryDirectory(t), listener), { code: 'CONFIGURATION' });
});
