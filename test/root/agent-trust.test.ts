import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { changeImage } from '../../src/store/change-image.js';
import { withSignature } from '../../src/store/signature.js';
import { AgentFixture, directory, file, unpack } from './agent-fixture.js';

test('an agent with trusted keys unpacks what is signed with one, and writes nothing of anything else', async t => {
  const fixture = await AgentFixture.make(t);
  const [mine, other] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
  writeFileSync(join(fixture.directory, 'keys.pem'), mine.publicKey.export({ type: 'spki', format: 'pem' }));
  appendFileSync(join(fixture.directory, 'agent.yaml'), 'trustedKeys: keys.pem\n');
  const digest = await fixture.image('os/a/1', [directory(''), directory('etc'), file('etc/hosts')]);
  const { client } = await fixture.start();
  const refused = async (name: string, message: RegExp): Promise<void> => {
    await t.throwsAsync(unpack(client, name, digest), { code: 'IMAGE_UNTRUSTED', message });
    t.false(existsSync(fixture.volumes));
  };
  await refused('os/a/1', /not signed/);
  await changeImage(fixture.store, 'os/a/1', record => withSignature(record, other.privateKey));
  await refused('os/a/1', /none of these is trusted/);
  const signed = await changeImage(fixture.store, 'os/a/1', record => withSignature(record, mine.privateKey));
  await fixture.store.create({ ...signed, name: 'os/a/2' });
  await refused('os/a/2', /tampered/);
  t.like(await unpack(client, 'os/a/1', digest), { image: 'os/a/1', digest });
});
