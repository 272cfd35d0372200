import { connect as connectPlain, createServer as createPlainServer } from 'node:net';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import test from 'ava';
import { readCertificates } from '../../src/rpc/certificates.js';
import { makeCertificates } from '../../src/rpc/make-certificates.js';
import { probe } from '../../src/rpc/probe.js';
import { issue } from './issue.js';
import { connect, serveFake, temporaryDirectory } from './serve.js';

const root = mkdtempSync(join(tmpdir(), 'tls-'));
const certs = join(root, 'good');
const others = join(root, 'others');
const AGENT = { what: 'agent', start: 'image-unpacker serve', option: '--unpacker' };
const LOCAL = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

test.before(async () => {
  const hosts = ['localhost', '127.0.0.1'];
  for (const directory of [certs, others]) await makeCertificates({ directory, hosts, days: 2 });
});
test.after.always(() => {
  rmSync(root, { recursive: true, force: true });
});

test('who has a certificate of the authority may do what its role says', async t => {
  const { where, fake } = await serveFake(t, LOCAL, certs);
  const admin = await connect(t, where, { certs });
  await admin.forget('os/a', false);
  const publisher = await connect(t, where, { certs: join(certs, 'publisher') });
  await publisher.pin('os/a', '/dev/x');
  await publisher.unpack({ image: 'os/a/1', digest: '', create: false });
  await (await publisher.capture('os/a', '')).close();
  await t.throwsAsync(publisher.forget('os/a', false), { code: 'NO_PERMISSION', message: /role admin/ });
  const reader = await connect(t, where, { certs: join(certs, 'reader') });
  await reader.status();
  await reader.devices();
  const refused = [
    () => reader.pin('os/a', '/dev/x'),
    () => reader.unpack({ image: 'os/a/1', digest: '', create: false }),
    () => reader.capture('os/a', ''),
  ];
  const before = fake.calls.length;
  for (const call of refused)
    await t.throwsAsync(call, { code: 'NO_PERMISSION', message: /gives the role reader/ });
  t.is(fake.calls.length, before);
});

test('a certificate without a role may do nothing', async t => {
  const { where } = await serveFake(t, LOCAL, certs);
  const client = await connect(t, where, {
    certs: issue(t, certs, { names: 'DNS:somebody', until: '20990101000000Z' }),
  });
  await t.throwsAsync(client.status(), { code: 'NO_PERMISSION', message: /gives no role/ });
});

test('a certificate of another authority is refused, at either end, and it is said which', async t => {
  const { where } = await serveFake(t, LOCAL, certs);
  await t.throwsAsync(connect(t, where, { certs: others }), {
    code: 'CONFIGURATION',
    message: /its certificate is not from an authority in your ca.pem/,
  });
  const mixed = temporaryDirectory(t);
  await cp(others, mixed, { recursive: true });
  await copyFile(join(certs, 'ca.pem'), join(mixed, 'ca.pem'));
  await t.throwsAsync(connect(t, where, { certs: mixed }), {
    code: 'CONFIGURATION',
    message: /refuses your certificate/,
  });
});

test('who shows no certificate is refused', async t => {
  const { server, fake } = await serveFake(t, LOCAL, certs);
  const { ca } = await readCertificates(certs);
  const options = { certificates: { ca } as never, patience: 0, signal: undefined };
  await t.throwsAsync(probe(server.address, AGENT, options), {
    code: 'CONFIGURATION',
    message: /refuses your certificate/,
  });
  t.deepEqual(fake.calls, []);
});

test('plain text is not answered', async t => {
  const { server, fake } = await serveFake(t, LOCAL, certs);
  const socket = connectPlain((server.address as { port: number }).port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const received: Buffer[] = [];
  socket.on('data', (data: Buffer) => received.push(data));
  await once(socket, 'close', { signal: AbortSignal.timeout(30_000) });
  // At most an alert of TLS.
  t.true(received.every(([type]) => type === 21));
  t.deepEqual(fake.calls, []);
});

test('what speaks no TLS, and a name that the certificate is not for, are told apart', async t => {
  const plain = createPlainServer(socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  t.teardown(() => plain.close());
  await new Promise<void>(resolve => plain.listen(0, '127.0.0.1', resolve));
  const { port } = plain.address() as { port: number };
  await t.throwsAsync(connect(t, `127.0.0.1:${String(port)}`, { certs }), {
    code: 'CONFIGURATION',
    message: /speaks no TLS/,
  });
  const directory = join(temporaryDirectory(t), 'certs');
  await makeCertificates({ directory, hosts: ['elsewhere.example'], days: 2 });
  const other = await serveFake(t, LOCAL, directory);
  await t.throwsAsync(connect(t, other.where, { certs: directory }), {
    code: 'CONFIGURATION',
    message: /for another name/,
  });
});

test('expired certificates are named, wherever they are', async t => {
  const directory = issue(t, certs, {
    names: 'IP:127.0.0.1,URI:image-unpacker://role/admin',
    until: '20210101000000Z',
  });
  const expired = { code: 'CONFIGURATION', message: /cert\.pem expired on Jan {2}1 00:00:00 2021/ };
  await t.throwsAsync(serveFake(t, LOCAL, directory), expired);
  await t.throwsAsync(connect(t, '127.0.0.1:1', { certs: directory }), expired);
  await t.throwsAsync(readCertificates(certs, new Date('2019-01-01')), { message: /is not valid before/ });
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map(name => readFileSync(join(directory, name)));
  const certificates = { ca: ca!, cert: cert!, key: key! };
  const options = { certificates, patience: 0, signal: undefined };
  const server = createServer(certificates);
  t.teardown(() => server.close());
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = { ...LOCAL, port: (server.address() as { port: number }).port };
  await t.throwsAsync(probe(address, AGENT, options), {
    code: 'CONFIGURATION',
    message: /its certificate has expired/,
  });
  const good = await serveFake(t, LOCAL, certs);
  await t.throwsAsync(probe(good.server.address, AGENT, options), {
    code: 'CONFIGURATION',
    message: /refuses your certificate/,
  });
});

test('a listener without certificates does not start, nor one whose certificates are none', async t => {
  const none = join(temporaryDirectory(t), 'none');
  await t.throwsAsync(serveFake(t, LOCAL, none), { code: 'CONFIGURATION', message: /make-certs/ });
  const cases: [file: string, content: string | Buffer, message: RegExp][] = [
    ['cert.pem', 'nonsense', /cert\.pem is no certificate/],
    ['key.pem', 'nonsense', /key\.pem is no private key/],
    ['key.pem', readFileSync(join(others, 'key.pem')), /not the key of the certificate/],
  ];
  for (const [file, content, message] of cases) {
    const directory = temporaryDirectory(t);
    await cp(certs, directory, { recursive: true });
    writeFileSync(join(directory, file), content);
    await t.throwsAsync(serveFake(t, LOCAL, directory), { code: 'CONFIGURATION', message });
  }
});

test('a port that is in use is told', async t => {
  const { server } = await serveFake(t, LOCAL, certs);
  await t.throwsAsync(serveFake(t, server.address, certs), { code: 'STATE_BUSY', message: /Cannot listen/ });
});

test('a directory with something in it is left as it is', async t => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, 'key.pem'), 'precious');
  await t.throwsAsync(makeCertificates({ directory, hosts: ['a'], days: 1 }), { code: 'OUTPUT' });
  t.is(readFileSync(join(directory, 'key.pem'), 'utf8'), 'precious');
});
