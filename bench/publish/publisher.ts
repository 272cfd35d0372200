// Publishes an image of the benchmark to accounts of the simulator, in a process of its own, and prints what it took.
import { join } from 'node:path';
import { USUAL_SETTINGS } from '../../src/cloud/aws/settings.js';
import type { DiskMap } from '../../src/image/disk-map.js';
import { publish } from '../../src/publisher/publish.js';
import type { AwsTarget } from '../../src/publisher/target.js';
import type { Unpacker } from '../../src/rpc/unpacker.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { manyFiles } from '../../test/model/many-files.js';
import { storeImage } from '../../test/model/stored-image.js';
import { blockOf, checksumOf, DISKS, mapOf } from './disks.js';

const STREAM = 'base/bench';
const [directory = '', leaf = '', count = '1'] = process.argv.slice(2);

const store = await openLocalStore(join(directory, 'store'), { create: true });
for (const [at, name] of Object.keys(DISKS).entries()) {
  const image = `${STREAM}/${name}`;
  if (!(await store.list(STREAM)).some(each => each.name === image))
    await storeImage(store, image, manyFiles(at + 1));
}

const REGIONS = 5;
const targets = Array.from({ length: Number(count) }, (_, at): AwsTarget => {
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

const began = performance.now();
const before = process.cpuUsage();
const rows = await publish({
  image: `${STREAM}/${leaf}`,
  targets,
  store,
  unpacker,
  stateDirectory: join(directory, 'state'),
  // As on a terminal.
  onEvent: () => undefined,
});
const { user, system } = process.cpuUsage(before);
const failures = rows.flatMap(({ Error }) => (Error === undefined ? [] : [Error]));
console.log(
  JSON.stringify({
    seconds: (performance.now() - began) / 1000,
    cpu: (user + system) / 1e6,
    memory: process.resourceUsage().maxRSS * 1024,
    blocks: rows.reduce((sum, { BlocksSent }) => sum + BlocksSent, 0),
    digests: new Set(rows.map(({ DiskDigest }) => DiskDigest)).size,
    failed: failures.length,
    failure: failures[0] ?? null,
  }),
);
await store.close();
