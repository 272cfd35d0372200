import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeCertificates } from '../../src/rpc/make-certificates.js';
import type { Right } from '../../src/rpc/rights.js';
import { hasRight, rightsOf, showRights } from '../../src/rpc/rights.js';
import { temporaryDirectory } from '../temporary-directory.js';

const RIGHTS: Record<string, Right> = {
  read: { kind: 'read' },
  publish: { kind: 'publish' },
  'upload any': { kind: 'upload' },
  'upload os/a': { kind: 'upload', stream: 'os/a' },
  'upload os/a/b': { kind: 'upload', stream: 'os/a/b' },
  'upload os/ab': { kind: 'upload', stream: 'os/ab' },
  'upload os': { kind: 'upload', stream: 'os' },
  replicate: { kind: 'replicate' },
  administer: { kind: 'administer' },
};

/** A certificate with these alternative names, signed by itself. */
function certificateOf(t: ExecutionContext, names: string, subject = '/CN=somebody'): Buffer {
  const directory = temporaryDirectory(t);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null'];
  const extension = names === '' ? [] : ['-addext', `subjectAltName=${names}`];
  const out = join(directory, 'cert.pem');
  const parameters = ['req', '-x509', ...key, '-subj', subject, ...extension, '-out', out];
  execFileSync('openssl', parameters, { stdio: 'pipe' });
  return new X509Certificate(readFileSync(out)).raw;
}

function granted(certificate: Buffer): string[] {
  const rights = rightsOf(certificate);
  return Object.keys(RIGHTS).filter(name => hasRight(rights, RIGHTS[name]!));
}

test('a certificate gives what its names say, and nothing else', t => {
  const cases: [string, string[]][] = [
    ['', []],
    ['DNS:somebody', []],
    ['URI:image-unpacker://role/reader', ['read']],
    ['URI:image-unpacker://role/publisher', ['read', 'publish']],
    ['URI:image-unpacker://role/admin', Object.keys(RIGHTS)],
    [
      'URI:image-unpacker://role/replicator',
      [
        'read',
        'publish',
        'upload any',
        'upload os/a',
        'upload os/a/b',
        'upload os/ab',
        'upload os',
        'replicate',
      ],
    ],
    ['URI:image-unpacker://upload/os/a', ['read', 'publish', 'upload any', 'upload os/a', 'upload os/a/b']],
    [
      'URI:image-unpacker://upload',
      ['read', 'publish', 'upload any', 'upload os/a', 'upload os/a/b', 'upload os/ab', 'upload os'],
    ],
    ['URI:image-unpacker://upload/', []],
    ['URI:image-unpacker://upload/../etc', []],
    ['URI:image-unpacker://role/root', []],
    ['URI:image-unpacker://role/admin/', []],
    ['URI:http://image-unpacker://role/admin', []],
    ['DNS:image-unpacker://role/admin', []],
    ['email:image-unpacker://role/admin', []],
  ];
  for (const [names, expected] of cases) t.deepEqual(granted(certificateOf(t, names)), expected, names);
});

test('a name that holds another gives nothing', t => {
  const directory = temporaryDirectory(t);
  const configuration = join(directory, 'cnf');
  execFileSync('tee', [configuration], {
    stdio: ['pipe', 'ignore', 'pipe'],
    input: `[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nsubjectAltName=@names\n[names]\nDNS.1="a, URI:image-unpacker://role/admin"\nURI.1="b:x, URI:image-unpacker://role/admin, c"\n`,
  });
  const out = join(directory, 'cert.pem');
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null'];
  execFileSync('openssl', ['req', '-x509', '-config', configuration, ...key, '-subj', '/CN=x', '-out', out], {
    stdio: 'pipe',
  });
  const certificate = new X509Certificate(readFileSync(out));
  t.regex(certificate.subjectAltName ?? '', /URI:image-unpacker:\/\/role\/admin/);
  t.deepEqual(granted(certificate.raw), []);
});

test('who has no name is called something', t => {
  t.is(rightsOf(certificateOf(t, '', '/')).name, 'a certificate without a name');
  t.is(rightsOf(certificateOf(t, '', '/O=us/CN=me')).name, 'O=us, CN=me');
});

test('the set that is made has a certificate for each right, and keys that only their owner reads', async t => {
  const directory = join(temporaryDirectory(t), 'certs');
  await makeCertificates({ directory, hosts: ['localhost'], days: 1, uploads: ['os/a', 'os/b'] });
  const shown = (where: string): string[] => {
    t.is(statSync(join(directory, where, 'key.pem')).mode & 0o777, 0o600);
    const pem = readFileSync(join(directory, where, 'cert.pem'));
    return showRights(rightsOf(new X509Certificate(pem).raw));
  };
  t.deepEqual(shown('.'), ['admin']);
  t.deepEqual(shown('reader'), ['reader']);
  t.deepEqual(shown('publisher'), ['publisher']);
  t.deepEqual(shown('replicator'), ['replicator']);
  t.deepEqual(shown('uploader'), ['upload os/a', 'upload os/b']);
  await t.throwsAsync(makeCertificates({ directory, hosts: [], days: 1 }), { code: 'OUTPUT' });
  const bad = { directory: join(directory, 'bad'), hosts: ['localhost'], days: 1, uploads: ['os/../a'] };
  await t.throwsAsync(makeCertificates(bad), { code: 'IMAGE_NAME' });
});
