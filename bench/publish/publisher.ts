// Publishes an image of the benchmark to accounts of the simulator, in a process of its own, and prints what it took.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AwsAccounts } from '../../src/cloud/aws/accounts.js';
import { DirectTarget } from '../../src/cloud/aws/direct-target.js';
import { PARALLELISM } from '../../src/cloud/aws/parallelism.js';
import { USUAL_SETTINGS } from '../../src/cloud/aws/settings.js';
import type { DiskMap } from '../../src/image/disk-map.js';
import { listRuns } from '../../src/publisher/journal.js';
import { keptMaps } from '../../src/publisher/kept-maps.js';
import { publish } from '../../src/publisher/publish.js';
import { resume } from '../../src/publisher/resume.js';
import type { AwsTarget, Target } from '../../src/publisher/target.js';
import type { Unpacker } from '../../src/rpc/unpacker.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { letBuffersGoEarly, tuneV8 } from '../../src/unpacker/tune-v8.js';
import { manyFiles } from '../../test/model/many-files.js';
import { storeImage } from '../../test/model/stored-image.js';
import { blockOf, checksumOf, DISKS, mapOf } from './disks.js';
import { measureRun } from './measure-run.js';

letBuffersGoEarly();
tuneV8();
const STREAM = 'base/bench';
/** How many targets, how many blocks to one of them at once, and to all together; and whether a run is gone on with. */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    targets: { type: 'string', default: '1' },
    perSnapshot: { type: 'string', default: String(PARALLELISM.perSnapshot) },
    together: { type: 'string', default: String(PARALLELISM.together) },
    resume: { type: 'boolean', default: false },
  },
});
const [directory = '', leaf = ''] = positionals;

const store = await openLocalStore(join(directory, 'store'), { create: true });
for (const [at, name] of Object.keys(DISKS).entries()) {
  const image = `${STREAM}/${name}`;
  if (!(await store.list(STREAM)).some(each => each.name === image))
    await storeImage(store, image, manyFiles(at + 1));
}

const REGIONS = 5;
const targets = Array.from({ length: Number(values.targets) }, (_, at): AwsTarget => {
  const account = String(111122220000 + Math.floor(at / REGIONS));
  const region = `us-east-${String((at % REGIONS) + 1)}`;
  const role = `arn:aws:iam::${account}:role/publisher`;
  const access = { accountId: account, role };
  const name = `${account}/${region}`;
  return { kind: 'aws', name, account, region, strategy: 'direct', access, settings: USUAL_SETTINGS };
});

const disk = DISKS[leaf]!;
const map: DiskMap = mapOf(disk);

/** Stands for the agent: each block is made and hashed once, as one that is read from a volume is. */
const unpacker = {
  unpack: () => Promise.resolve({ blocksWritten: null, boot: null, warnings: [] }),
  capture: () =>
    Promise.resolve({
      map,
      async *blocks(numbers: readonly number[]) {
        for (const number of numbers) {
          const block = blockOf(disk.get(number)!);
          checksumOf(block);
          yield await Promise.resolve(block);
        }
      },
      close: () => Promise.resolve(),
    }),
} as unknown as Unpacker;

const parallelism = { perSnapshot: Number(values.perSnapshot), together: Number(values.together) };
const accounts = new AwsAccounts(undefined, parallelism);
const maps = keptMaps(store);
const options = {
  store,
  unpacker,
  stateDirectory: join(directory, 'state'),
  // As on a terminal.
  onEvent: () => undefined,
  openTarget: async (target: Target) => {
    const { access, region, settings, name } = target as AwsTarget;
    return new DirectTarget({
      session: await accounts.session(access, region),
      settings,
      maps,
      target: name,
    });
  },
};

const last = (await listRuns(options.stateDirectory)).at(-1)?.begin.run ?? '';
await measureRun(
  () =>
    values.resume ? resume(last, options) : publish({ image: `${STREAM}/${leaf}`, targets, ...options }),
  { blocks: ({ BlocksSent }) => BlocksSent, digest: ({ DiskDigest }) => DiskDigest },
);
await store.close();
