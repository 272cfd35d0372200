import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openLocalStore } from '../../../src/store/local/store.js';
import { prepare } from './prepare.js';
import { imagetoolOn, json } from './run.js';

function keys(directory: string, name: string): { secret: string; open: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const [secret, open] = [join(directory, `${name}.pem`), join(directory, `${name}.pub`)];
  writeFileSync(secret, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(open, publicKey.export({ type: 'spki', format: 'pem' }));
  return { secret, open };
}

test('with trusted keys only images that are signed with one are read', async t => {
  const { directory, store, source } = prepare(t);
  const [mine, other] = [keys(directory, 'mine'), keys(directory, 'other')];
  await json(store, 0, 'build', 's/1', '--from', source, '--sign', mine.secret);
  await json(store, 0, 'build', 's/2', '--from', source);
  const read = async (name: string, open: string) =>
    imagetoolOn(store, 'verify', name, '--trusted-keys', open);
  t.is((await read('s/1', mine.open)).code, 0);
  for (const [name, open, why] of [
    ['s/1', other.open, /none of these is trusted/],
    ['s/2', mine.open, /not signed/],
  ] as const) {
    const { code, err } = await read(name, open);
    t.is(code, 1);
    t.regex(err, why);
  }
  t.like(await json(store, 0, 'sign', 's/2', '--key', other.secret), { name: 's/2' });
  t.is((await read('s/2', mine.open)).code, 1);
  await json(store, 0, 'sign', 's/2', '--key', mine.secret);
  t.is((await read('s/2', mine.open)).code, 0);
  t.is((await read('s/2', other.open)).code, 0);
  const refused = await imagetoolOn(store, 'build', 's/3', '--from', source, '--sign', mine.open);
  t.not(refused.code, 0);
  t.regex(refused.err, /no private key/);
  t.not((await imagetoolOn(store, 'show', 's/3')).code, 0);
});

test('an old image cannot be passed off under a new name, nor as a newer one', async t => {
  const { directory, store, source } = prepare(t);
  const { secret, open } = keys(directory, 'mine');
  await json(store, 0, 'build', 's/1', '--from', source, '--sign', secret);
  const opened = await openLocalStore(store);
  const record = await opened.image('s/1');
  await opened.create({ ...record, name: 's/2' });
  await opened.create({ ...record, name: 's/3', createdAt: '2099-01-01T00:00:00.000Z' });
  await opened.close();
  for (const name of ['s/2', 's/3']) {
    const { code, err } = await imagetoolOn(
      store,
      'extract',
      name,
      join(directory, 'out'),
      '--trusted-keys',
      open,
    );
    t.is(code, 1);
    t.regex(err, /tampered/);
  }
});
