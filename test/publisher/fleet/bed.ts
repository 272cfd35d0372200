import type { ExecutionContext } from 'ava';
import { USUAL_SETTINGS } from '../../../src/cloud/aws/settings.js';
import { makeOpenTarget } from '../../../src/publisher/open-target.js';
import type { ResultRow } from '../../../src/publisher/row.js';
import type { AwsTarget } from '../../../src/publisher/target.js';
import type { ModelDisk } from '../../model/disk.js';
import { simulatedAgents } from '../../simulator/agent.js';
import { fastClock } from '../../simulator/clock.js';
import { startSimulator } from '../../simulator/index.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { diskOf, Shop, STREAM } from '../shop.js';

export const ACCOUNT = '111122223333';
export const clock = fastClock(500);

export type Bed = Awaited<ReturnType<typeof bed>>;

/** An account with some regions, agents of their instances, and a shop that publishes to them. */
export async function bed(t: ExecutionContext, regions = ['us-east-1']) {
  const simulator = await startSimulator({ clock });
  t.teardown(() => simulator.stop());
  Object.assign(process.env, simulator.environment(ACCOUNT));
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const disks = new Map<string, ModelDisk>();
  for (const { name, digest } of await shop.store.list(STREAM))
    disks.set(digest, diskOf(Number(name.at(-1))));
  const { world } = simulator;
  const places = regions.map(region => world.place(ACCOUNT, region));
  const fakes = places.map(place => simulatedAgents(world, place, disks));
  const targets = regions.map((region): AwsTarget => ({
    kind: 'aws',
    name: `production/${region}`,
    account: 'production',
    region,
    strategy: 'snapshot',
    access: { accountId: ACCOUNT },
    settings: USUAL_SETTINGS,
  }));
  const connect: (typeof fakes)[0]['connect'] = async (address, how) => {
    // Addresses begin with the number of their region.
    return fakes[Number(address.split('.')[1])]!.connect(address, how);
  };
  const openTarget = makeOpenTarget(shop.store, clock, { connect });
  return { simulator, world, shop, places, fakes, targets, openTarget };
}

/** What goes on with runs takes. */
export function options({ shop, openTarget }: Bed) {
  return { ...shop.options, openTarget };
}

export function publish(it: Bed, leaf: number, signal?: AbortSignal): Promise<ResultRow[]> {
  return it.shop.publish(leaf, { targets: it.targets, openTarget: it.openTarget, signal });
}
