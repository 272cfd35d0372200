import { execFileSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { temporaryDirectory } from './serve.js';

/** A directory with a certificate of the authority whose key lies in `certs`, valid from 2020 on. */
export function issue(
  t: ExecutionContext,
  certs: string,
  { names, until }: { names: string; until: string },
): string {
  const directory = temporaryDirectory(t);
  const configuration = [
    '[ca]\ndefault_ca=ca_default',
    '[ca_default]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=policy',
    'copy_extensions=copy\nunique_subject=no\n[policy]\ncommonName=supplied',
    '[req]\ndistinguished_name=name\n[name]\n',
  ];
  writeFileSync(join(directory, 'cnf'), configuration.join('\n'));
  writeFileSync(join(directory, 'index'), '');
  writeFileSync(join(directory, 'serial'), '01\n');
  const openssl = (...parameters: string[]): void => {
    execFileSync('openssl', parameters, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem'];
  openssl(
    'req',
    '-config',
    'cnf',
    ...key,
    '-subj',
    '/CN=test',
    '-addext',
    `subjectAltName=${names}`,
    '-out',
    'csr',
  );
  const authority = ['-cert', join(certs, 'ca.pem'), '-keyfile', join(certs, 'ca-key.pem')];
  const dates = ['-startdate', '20200101000000Z', '-enddate', until];
  openssl(
    'ca',
    '-batch',
    '-notext',
    '-config',
    'cnf',
    ...authority,
    ...dates,
    '-in',
    'csr',
    '-out',
    'cert.pem',
  );
  copyFileSync(join(certs, 'ca.pem'), join(directory, 'ca.pem'));
  return directory;
}
