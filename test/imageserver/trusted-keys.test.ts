import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import test from 'ava';
import { keyId, withSignature } from '../../src/store/signature.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { admitting } from '../../src/store/trusting.js';
import { connectTo, serveStore, shortDirectory } from './serving.js';

test('a server that trusts keys takes no image that none of them has signed', async t => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keys = [{ id: keyId(publicKey), key: publicKey }];
  const location = join(shortDirectory(t), 'store');
  const { address } = await serveStore(t, location, {
    requireWhole: () => Promise.resolve(),
    openStore: async () => admitting(await openLocalStore(location, { create: true }), keys),
  });
  const store = await connectTo(t, address);
  // Whether all of an image is there is looked at besides; what these have is not.
  const digest = 'a'.repeat(128);
  const dates = { createdAt: '2026-01-01T00:00:00.000Z', expiresAt: null };
  const record = { name: 'os/signed/1', digest, ...dates, entries: 1, bytes: 0n, tags: {}, annotations: {} };
  await t.throwsAsync(store.create(record), { code: 'IMAGE_UNTRUSTED' });
  t.deepEqual(await store.list(), []);
  const other = generateKeyPairSync('ed25519').privateKey;
  await t.throwsAsync(store.create(withSignature(record, other)), { code: 'IMAGE_UNTRUSTED' });
  await store.create(withSignature(record, privateKey));
  const [made] = await store.list();
  await t.throwsAsync(store.replace({ ...made!, tags: {} }, made!));
});
