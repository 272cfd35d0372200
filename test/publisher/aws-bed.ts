import type { ExecutionContext } from 'ava';
import { USUAL_SETTINGS } from '../../src/cloud/aws/settings.js';
import type { AwsImageSettings } from '../../src/cloud/aws/settings.js';
import type { Clock } from '../../src/cloud/aws/clock.js';
import type { OpenTarget } from '../../src/publisher/open-target.js';
import { makeOpenTarget } from '../../src/publisher/open-target.js';
import type { ResultRow } from '../../src/publisher/row.js';
import type { AwsTarget } from '../../src/publisher/target.js';
import { fastClock } from '../simulator/clock.js';
import type { Simulator } from '../simulator/index.js';
import { startSimulator } from '../simulator/index.js';
import type { Place } from '../simulator/state.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { Shop } from './shop.js';

/* Accounts of the simulator of AWS, with a shop whose images are published to them. */

export const ACCOUNTS = ['111122223333', '444455556666'] as const;
export const REGION = 'us-east-1';
const ENTRY = '999900001111';

export interface AwsBed {
  readonly simulator: Simulator;
  readonly shop: Shop;
  readonly clock: Clock;
  /** One in each of the accounts. */
  readonly targets: readonly AwsTarget[];
  readonly openTarget: OpenTarget;
  place(account?: string): Place;
  /** Publishes an image of the shop, and throws if that fails anywhere. */
  publish(leaf: number, targets?: readonly AwsTarget[]): Promise<ResultRow[]>;
}

/** Opens a bed for one test. Tests that do so run one after another: the SDK reads the environment. */
export async function openBed(
  t: ExecutionContext,
  settings: Partial<AwsImageSettings> = {},
  clock: Clock = fastClock(2000),
): Promise<AwsBed> {
  const role = (account: string): string => `arn:aws:iam::${account}:role/publisher`;
  const simulator = await startSimulator({ clock, roles: ACCOUNTS.map(account => ({ arn: role(account) })) });
  t.teardown(() => simulator.stop());
  Object.assign(process.env, simulator.environment(ENTRY));
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const targets = ACCOUNTS.map((account): AwsTarget => {
    simulator.world.place(account, REGION).addKey('alias/images', 'CUSTOMER');
    return {
      kind: 'aws',
      name: `${account}/${REGION}`,
      account,
      region: REGION,
      strategy: 'direct',
      access: { accountId: account, role: role(account) },
      settings: { ...USUAL_SETTINGS, kmsKey: 'alias/images', ...settings },
    };
  });
  const openTarget = makeOpenTarget(shop.store, clock);
  return {
    simulator,
    shop,
    clock,
    targets,
    openTarget,
    place: (account = ACCOUNTS[0]) => simulator.world.place(account, REGION),
    publish: async (leaf, to = targets) => {
      const rows = await shop.publish(leaf, { targets: to, openTarget });
      const failed = rows.find(({ Error }) => Error !== undefined);
      if (failed !== undefined) throw new Error(failed.Error);
      return rows;
    },
  };
}
