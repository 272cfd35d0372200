// Sends the blocks that publishing would to the simulator, by bare HTTP and nothing else, and prints what it took.
import { Agent, request } from 'node:http';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import { accessKey } from '../../test/simulator/sts.js';
import { blockOf, checksumOf, DISKS } from './disks.js';

const AT_ONCE = 32;
/** To all targets together: connections beyond that are refused by some machines. */
const TOGETHER = 640;
const [url = '', leaf = '', count = '1'] = process.argv.slice(2);
const targets = Array.from({ length: Number(count) }, (_, at) => {
  const account = String(111122220000 + Math.floor(at / 5));
  const region = `us-east-${String((at % 5) + 1)}`;
  const scope = `${accessKey(account)}/20260101/${region}/ebs/aws4_request`;
  return { authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0` };
});
const atOnce = Math.min(AT_ONCE * targets.length, TOGETHER);
const agent = new Agent({ keepAlive: true, maxSockets: atOnce });

function send(method: string, path: string, headers: Record<string, string>, body: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, headers, agent }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => {
        if (response.statusCode === 201) resolve(text);
        else reject(new Error(`${method} ${path}: ${String(response.statusCode)} ${text}`));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const before = process.cpuUsage();
const began = performance.now();
const ids = await Promise.all(
  targets.map(async (headers, at) => {
    const body = { VolumeSize: 2, ClientToken: `${leaf} ${String(at)}`, Encrypted: true };
    const answer = await send('POST', '/snapshots', headers, Buffer.from(JSON.stringify(body)));
    return (JSON.parse(answer) as { SnapshotId: string }).SnapshotId;
  }),
);
const base = leaf === 'after' ? DISKS['before']! : new Map<number, number>();
const blocks = [...DISKS[leaf]!].filter(([number, seed]) => base.get(number) !== seed);
const onTheWay = new Set<Promise<unknown>>();
for (const [number, seed] of blocks) {
  const block = blockOf(seed);
  const checksum = checksumOf(block).toString('base64');
  for (const [at, target] of targets.entries()) {
    const headers = {
      ...target,
      'x-amz-checksum': checksum,
      'x-amz-data-length': String(DISK_BLOCK_SIZE),
    };
    const put = send('PUT', `/snapshots/${ids[at]!}/blocks/${String(number)}`, headers, block);
    const one = put.finally(() => onTheWay.delete(one));
    onTheWay.add(one);
    if (onTheWay.size >= atOnce) await Promise.race(onTheWay);
  }
}
await Promise.all(onTheWay);
agent.destroy();
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    seconds: (performance.now() - began) / 1000,
    cpu: (user + system) / 1e6,
    memory: process.resourceUsage().maxRSS * 1024,
    blocks: blocks.length * targets.length,
  }),
);
