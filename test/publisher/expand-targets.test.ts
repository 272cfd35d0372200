import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { AccountAccess } from '../../src/cloud/aws/access.js';
import { AccountDirectory } from '../../src/cloud/aws/account-directory.js';
import { namedAccounts } from '../../src/cloud/aws/profiles.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import { targetsOf } from '../../src/cli/ami-publisher/target-options.js';
import { expandRegions, expandTargetSyntax } from '../../src/publisher/expand-targets.js';
import { plan } from '../../src/publisher/plan.js';
import { parseTargets } from '../../src/publisher/read-targets.js';
import { accessKey } from '../simulator/sts.js';
import { fastClock } from '../simulator/clock.js';
import { startSimulator } from '../simulator/index.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { Shop, STREAM } from './shop.js';

const accounts = {
  accounts: () =>
    Promise.resolve([
      { name: 'one', access: { accountId: '111122223333', profile: 'one' } },
      { name: 'two', access: { accountId: undefined, profile: 'two' } },
    ]),
  regions: ({ profile }: AccountAccess) =>
    profile === 'two'
      ? Promise.reject(new ImageUnpackerError('NO_PERMISSION', 'two is locked'))
      : Promise.resolve(['eu-west-1', 'us-east-1']),
};

const expanded: [text: string, names: string[]][] = [
  ['*', ['one/eu-west-1', 'one/us-east-1', 'two/*']],
  ['*,*', ['one/eu-west-1', 'one/us-east-1', 'two/*']],
  [',us-east-1', ['one/us-east-1', 'two/us-east-1']],
  ['*,ap-south-1', ['one/ap-south-1', 'two/ap-south-1']],
  ['one,', ['one/eu-west-1', 'one/us-east-1']],
  ['one,*;one,us-east-1;local:/srv/a', ['one/eu-west-1', 'one/us-east-1', 'local:/srv/a']],
  ['other,us-east-1', ['other/us-east-1']],
];

for (const [text, names] of expanded) {
  test(`targets are found that * stands for: ${text}`, async t => {
    const targets = await expandTargetSyntax(text, accounts);
    t.deepEqual(
      targets.map(({ name }) => name),
      names,
    );
    const bad = targets.find(({ name }) => name === 'two/*');
    if (bad !== undefined) t.like(bad, { fault: 'two is locked' });
  });
}

test('what * cannot stand for is refused', async t => {
  for (const text of ['local,*', 'local:', ' ; ,', 'a,b,c']) {
    const error = await t.throwsAsync<ImageUnpackerError>(
      expandTargetSyntax(text, accounts),
      undefined,
      text,
    );
    t.is(error.code, 'USAGE');
  }
  const none = { ...accounts, accounts: () => Promise.resolve([]) };
  const error = await t.throwsAsync<ImageUnpackerError>(expandTargetSyntax('*', none));
  t.regex(error.message, /no accounts that \* could stand for/);
});

test('an account of a file of targets can have all of its regions', async t => {
  const file =
    'targets:\n' +
    '  - { account: "111122223333", name: one, regions: ["*"], kmsKey: alias/a }\n' +
    '  - { account: "111122223333", name: one, regions: [us-east-1], kmsKey: alias/b }\n';
  const targets = await expandRegions(parseTargets(file, 't.yaml'), accounts);
  t.deepEqual(
    targets.map(target => [target.name, target.kind === 'aws' ? target.settings.kmsKey : '']),
    [
      ['one/eu-west-1', 'alias/a'],
      ['one/us-east-1', 'alias/b'],
    ],
  );
});

test('accounts are the profiles that give credentials, each once', t => {
  const found = namedAccounts({
    credentialsFile: {
      default: { aws_access_key_id: 'AKIA1' },
      keys: { aws_access_key_id: 'AKIA2', region: 'us-gov-west-1' },
      twin: { aws_access_key_id: 'AKIA2' },
    },
    configFile: {
      default: { role_arn: 'arn:aws:iam::999900001111:role/x' },
      production: { role_arn: 'arn:aws:iam::111122223333:role/x', source_profile: 'default' },
      copy: { role_arn: 'arn:aws:iam::111122223333:role/x' },
      sso: { sso_account_id: '444455556666', sso_role_name: 'x' },
      tool: { credential_process: '/bin/true' },
      'sso-session.corp': { sso_account_id: '1', sso_role_name: 'x' },
      empty: { region: 'eu-west-1' },
    },
  });
  t.deepEqual(
    found.map(({ name, access, region }) => [name, access.accountId, access.profile, region]),
    [
      ['copy', '111122223333', 'copy', undefined],
      ['keys', undefined, 'keys', 'us-gov-west-1'],
      ['sso', '444455556666', 'sso', undefined],
      ['tool', undefined, 'tool', undefined],
    ],
  );
});

test.serial('the regions of the account of the credentials at hand are found, and planned for', async t => {
  const simulator = await startSimulator({ clock: fastClock(2000) });
  t.teardown(() => simulator.stop());
  Object.assign(process.env, simulator.environment('111122223333'));
  simulator.world.enabledRegions = () => ['us-east-1', 'ap-south-1'];
  const options = { only: undefined, skip: undefined, group: undefined };
  const targets = await targetsOf({ targets: '*', ...options });
  t.deepEqual(
    targets.map(({ name }) => name),
    ['111122223333/ap-south-1', '111122223333/us-east-1'],
  );
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const rows = await plan({ image: `${STREAM}/1`, store: shop.store, targets });
  t.deepEqual(
    rows.map(({ Action }) => Action),
    ['publish', 'publish'],
  );
});

test.serial('profiles are accounts; one that cannot be entered is a row with the error', async t => {
  const simulator = await startSimulator({ clock: fastClock(2000) });
  t.teardown(() => simulator.stop());
  const directory = temporaryDirectory(t);
  const file = join(directory, 'credentials');
  const section = (name: string, key: string): string =>
    `[${name}]\naws_access_key_id = ${key}\naws_secret_access_key = secret\n`;
  writeFileSync(file, section('good', accessKey('111122223333')) + section('bad', 'AKIAWRONG'));
  Object.assign(process.env, simulator.environment('999900001111'), { AWS_SHARED_CREDENTIALS_FILE: file });
  t.teardown(() => (process.env['AWS_SHARED_CREDENTIALS_FILE'] = '/dev/null'));
  delete process.env['AWS_ACCESS_KEY_ID'];
  delete process.env['AWS_SECRET_ACCESS_KEY'];
  const targets = await expandTargetSyntax('*', new AccountDirectory(fastClock(2000)));
  t.deepEqual(
    targets.map(({ name }) => name),
    ['bad/*', 'good/us-east-1'],
  );
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const rows = await plan({ image: `${STREAM}/1`, store: shop.store, targets });
  t.deepEqual(
    rows.map(({ Action, ErrorCode }) => [Action, ErrorCode]),
    [
      ['refused', 'NO_PERMISSION'],
      ['publish', undefined],
    ],
  );
});
