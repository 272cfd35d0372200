import test from 'ava';
import { AwsAccounts } from '../../../src/cloud/aws/accounts.js';
import { fastClock } from '../../simulator/clock.js';
import { startSimulator } from '../../simulator/index.js';

const ACCOUNTS = Array.from({ length: 10 }, (_, at) => String(111122220000 + at));
const role = (account: string): string => `arn:aws:iam::${account}:role/publisher`;

test.serial('all accounts and services share the connections of a command', async t => {
  const clock = fastClock(2000);
  const simulator = await startSimulator({ clock, roles: ACCOUNTS.map(account => ({ arn: role(account) })) });
  t.teardown(() => simulator.stop());
  Object.assign(process.env, simulator.environment('999900001111'));
  const accounts = new AwsAccounts(clock);
  for (const accountId of ACCOUNTS) {
    const session = await accounts.session({ accountId, role: role(accountId) }, 'us-east-1');
    await session.call('DescribeImages', { Owners: ['self'] });
    await session.call('GetEbsDefaultKmsKeyId', {});
  }
  t.is(simulator.calls.length, 4 * ACCOUNTS.length);
  // One that has just carried an answer may not be free yet when the next call is made.
  t.true(simulator.connections <= 3, String(simulator.connections));
});
