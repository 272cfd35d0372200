import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { ImageUnpackerError } from '../../src/image/error.js';
import { isBroken, ServerHttp } from '../../src/rpc/image-server-http.js';
import { temporaryDirectory } from '../temporary-directory.js';

// What OpenSSL answered to one flipped bit in each part of a TLS 1.3 record, and the alerts that the other end then sends.
const ON_DAMAGE = [
  'ERR_SSL_BAD_RECORD_TYPE',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_ENCRYPTED_LENGTH_TOO_LONG',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
  'ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC',
  'ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC',
  'ERR_SSL_TLSV1_ALERT_RECORD_OVERFLOW',
  'ERR_SSL_SSL/TLS_ALERT_UNEXPECTED_MESSAGE',
];

test('a request is made again where its connection failed or its bytes were damaged, and not else', t => {
  const withCode = (code: string): Error => Object.assign(new Error(code), { code });
  for (const code of [...ON_DAMAGE, 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'HPE_INVALID_CONSTANT']) {
    t.true(isBroken(withCode(code)), code);
  }
  t.false(isBroken(withCode('ERR_INVALID_ARG_TYPE')));
  t.false(isBroken(new Error('without a code')));
  t.false(isBroken(new ImageUnpackerError('STORE_MISSING', 'it is not there')));
});

test('as many requests as there are listen to one signal without a warning', async t => {
  const socket = join(temporaryDirectory(t), 'socket');
  const server = createServer((_, response) => response.end('yes'));
  await new Promise<void>(resolve => server.listen(socket, resolve));
  const warnings: Error[] = [];
  const warn = (warning: Error): number => warnings.push(warning);
  process.on('warning', warn);
  t.teardown(() => {
    process.off('warning', warn);
    server.close();
  });
  const http = new ServerHttp({ kind: 'unix', path: socket }, undefined, new AbortController().signal);
  t.teardown(() => {
    http.close();
  });
  const ask = async (): Promise<string> => text(await http.send({ method: 'GET', path: '/' }));
  const answers = await Promise.all(Array.from({ length: 24 }, ask));
  t.deepEqual(new Set(answers), new Set(['yes']));
  // It is told of later.
  await new Promise(resolve => setImmediate(resolve));
  t.deepEqual(warnings, []);
});
