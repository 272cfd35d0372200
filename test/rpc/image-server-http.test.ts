import test from 'ava';
import { ImageUnpackerError } from '../../src/image/error.js';
import { isBroken } from '../../src/rpc/image-server-http.js';

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
