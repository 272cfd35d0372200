// The simulator of AWS as a process of its own. It prints where it is, and ends when its standard input does. A line
// of the input is answered by a line of JSON: what has arrived, and how many calls were too many.
import { createInterface } from 'node:readline';
import { SYSTEM_CLOCK } from '../../src/cloud/aws/clock.js';
import { TokenBucket } from '../../src/cloud/aws/token-bucket.js';
import type { Simulator } from '../../test/simulator/index.js';
import { startSimulator } from '../../test/simulator/index.js';
import { LATENCIES, OTHERWISE } from './latencies.js';

/** What AWS lets an account and region do: so much at once, then so much a second (as it publishes it). */
const LIMITS: readonly [calls: RegExp, burst: number, perSecond: number][] = [
  [/^Put|^GetSnapshotBlock/, 1000, 1000],
  [/^(Start|Complete)Snapshot$/, 10, 10],
  [/^ListSnapshotBlocks/, 50, 50],
  [/^Describe/, 100, 20],
  [/^(Create|Delete)Tags/, 100, 10],
  [/^(Delete|Deregister|Modify)/, 100, 5],
  [/^RegisterImage|^Enable/, 50, 5],
];

/** Of as many accounts as a publication has at most. */
const ROLES = Array.from({ length: 100 }, (_, at) => ({
  arn: `arn:aws:iam::${String(111122220000 + at)}:role/publisher`,
}));

const buckets = new Map<string, TokenBucket>();
let refused = 0;
/** Whether it is slow to answer, so that who is to be killed has got all answers that were given. */
let holds = false;
const HOLD_MILLISECONDS = 5000;
/** A clock that can be put on, so that what is published now has been so for long. */
let ahead = 0;
const clock = { ...SYSTEM_CLOCK, now: () => Date.now() + ahead };

const simulator = await startSimulator({
  clock,
  roles: ROLES,
  latency: operation => (holds ? HOLD_MILLISECONDS : (LATENCIES[operation] ?? OTHERWISE)),
  schedule: (operation, { account, region }) => {
    const limit = LIMITS.find(([calls]) => calls.test(operation));
    if (limit === undefined) return undefined;
    const key = `${account} ${region} ${operation}`;
    const bucket = buckets.get(key) ?? new TokenBucket({ burst: limit[1], perSecond: limit[2] }, Date.now());
    buckets.set(key, bucket);
    if (bucket.take(Date.now())) return undefined;
    refused++;
    return 'throttled';
  },
});
console.log(simulator.url);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'an hour later') ahead += 3_600_000;
  if (line !== '') holds = line === 'hold';
  console.log(JSON.stringify({ refused, ...blocksOf(simulator) }));
}
await simulator.stop();

/** How many blocks have arrived, of how many of them that was said, and how many of them are not one sent again. */
function blocksOf({ world, calls }: Simulator): { arrived: number; acknowledged: number; distinct: number } {
  const puts = calls.filter(({ operation, status }) => operation === 'PutSnapshotBlock' && status === 201);
  const snapshots = world.places.flatMap(place => [...place.snapshots.values()]);
  return {
    arrived: puts.length,
    acknowledged: puts.filter(({ answered }) => answered).length,
    distinct: snapshots.reduce((sum, { blocks }) => sum + blocks.size, 0),
  };
}
