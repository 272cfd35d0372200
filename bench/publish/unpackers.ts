// Publishes an image by unpackers in accounts of the simulator, whose instances and volumes take the time that those of EC2 take, and
// prints what it took. The simulator and its agents are in this process.
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { SYSTEM_CLOCK } from '../../src/cloud/aws/clock.js';
import { USUAL_SETTINGS } from '../../src/cloud/aws/settings.js';
import { makeOpenTarget } from '../../src/publisher/open-target.js';
import { publish } from '../../src/publisher/publish.js';
import type { AwsTarget } from '../../src/publisher/target.js';
import { USUAL_RATES } from '../../src/publisher/rates.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { ModelDisk } from '../../test/model/disk.js';
import { manyFiles } from '../../test/model/many-files.js';
import { storeImage } from '../../test/model/stored-image.js';
import { simulatedAgents } from '../../test/simulator/agent.js';
import { addInstance } from '../../test/simulator/fleet.js';
import { startSimulator } from '../../test/simulator/index.js';
import { LATENCIES, OTHERWISE } from './latencies.js';
import { measureRun } from './measure-run.js';

const STREAM = 'base/bench';
const ACCOUNTS = 4;
const REGIONS = 5;
/** What an agent takes to unpack 5 % of 2 GiB and to read the disk, a few times as long as it was measured to. */
const UNPACK_MILLISECONDS = 5000;
const [directory = ''] = process.argv.slice(2);

const store = await openLocalStore(join(directory, 'store'), { create: true });
const disks = new Map<string, ModelDisk>();
for (const at of [1, 2]) {
  const { digest } = await storeImage(store, `${STREAM}/${String(at)}`, manyFiles(at));
  disks.set(digest, ModelDisk.of({ 0: at, 1: 7 }, 2 ** 21));
}
const accounts = Array.from({ length: ACCOUNTS }, (_, at) => String(111122220000 + at));
const role = (account: string): string => `arn:aws:iam::${account}:role/publisher`;
const simulator = await startSimulator({
  clock: SYSTEM_CLOCK,
  roles: accounts.map(account => ({ arn: role(account) })),
  latency: operation => LATENCIES[operation] ?? OTHERWISE,
});
Object.assign(process.env, simulator.environment('999900001111'));
const { world } = simulator;
const targets = accounts.flatMap(account =>
  Array.from({ length: REGIONS }, (_, at): AwsTarget => {
    const region = `us-east-${String(at + 1)}`;
    const access = { accountId: account, role: role(account) };
    const name = `${account}/${region}`;
    return { kind: 'aws', name, account, region, strategy: 'snapshot', access, settings: USUAL_SETTINGS };
  }),
);
const fakes = targets.map(({ access, region }, at) => {
  const place = world.place(access.accountId!, region);
  const fake = simulatedAgents(world, place, disks);
  const instance = addInstance(world, place, { address: `10.${String(at)}.0.1`, state: 'running' });
  fake.of(instance).during = () => wait(UNPACK_MILLISECONDS);
  return fake;
});
const openTarget = makeOpenTarget(store, SYSTEM_CLOCK, {
  connect: (address, how) => fakes[Number(address.split('.')[1])]!.connect(address, how),
});
const unpacker = (): never => {
  throw new Error('none is needed');
};
const options = { targets, store, unpacker, openTarget, stateDirectory: join(directory, 'state') };

world.fleetTiming = { ...world.fleetTiming, snapshot: 2 };
await publish({ image: `${STREAM}/1`, ...options });
world.fleetTiming = { ...world.fleetTiming, snapshot: USUAL_RATES.seconds.createSnapshot };
await measureRun(() => publish({ image: `${STREAM}/2`, ...options }), {
  blocks: () => 0,
  digest: ({ ImageDigest }) => ImageDigest,
});
await simulator.stop();
await store.close();
