import { createHash } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Clock } from '../../src/cloud/aws/clock.js';
import type { Simulator } from './index.js';
import { startSimulator } from './index.js';
import { accessKey } from './sts.js';

/* The simulator, asked by hand. */

export const ACCOUNT = '111122223333';
export const REGION = 'us-east-1';
export const BLOCK = Buffer.alloc(524_288, 7);
export const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

export interface Answer {
  status: number;
  headers: Headers;
  body: string;
}

/** A clock that stands still but for the time that is slept: then nothing depends on how busy the machine is. */
function handClock(): Clock {
  let now = Date.parse('2026-11-26T00:00:00Z');
  const sleep = (milliseconds: number): Promise<void> => {
    now += milliseconds;
    return Promise.resolve();
  };
  return { now: () => now, random: () => 0.5, sleep };
}

/** A simulator for one test. */
export async function start(t: ExecutionContext): Promise<Simulator> {
  const simulator = await startSimulator({ clock: handClock() });
  t.teardown(() => simulator.stop());
  return simulator;
}

/** Asks a service as an account in a region, by what the signature says. */
export async function ask(
  { url }: Simulator,
  service: string,
  path: string,
  init: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Answer> {
  const scope = `${accessKey(ACCOUNT)}/20261126/${REGION}/${service}/aws4_request`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`;
  const { method = 'POST', body } = init;
  const headers = { authorization, ...init.headers };
  const response = await fetch(url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }),
  });
  return { status: response.status, headers: response.headers, body: await response.text() };
}

export function ec2(
  simulator: Simulator,
  action: string,
  parameters: Record<string, string> = {},
): Promise<Answer> {
  const body = new URLSearchParams({ Action: action, Version: '2016-11-15', ...parameters }).toString();
  return ask(simulator, 'ec2', '/', {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body,
  });
}

export function startSnapshot(simulator: Simulator, given: object): Promise<Answer> {
  const body = JSON.stringify({ VolumeSize: 1, ClientToken: 'a', ...given });
  return ask(simulator, 'ebs', '/snapshots', { headers: { 'content-type': 'application/json' }, body });
}

export function put(
  simulator: Simulator,
  id: string,
  number: number,
  body = BLOCK,
  headers = {},
): Promise<Answer> {
  const all = {
    'x-amz-data-length': '524288',
    'x-amz-checksum': sha256(body).toString('base64'),
    'x-amz-checksum-algorithm': 'SHA256',
    ...headers,
  };
  return ask(simulator, 'ebs', `/snapshots/${id}/blocks/${String(number)}`, {
    method: 'PUT',
    headers: all,
    body,
  });
}

export function complete(
  simulator: Simulator,
  id: string,
  count: number,
  checksum?: string,
): Promise<Answer> {
  const headers: Record<string, string> = { 'x-amz-changedblockscount': String(count) };
  if (checksum !== undefined) headers['x-amz-checksum'] = checksum;
  return ask(simulator, 'ebs', `/snapshots/completion/${id}`, { headers });
}

export function idOf({ body }: Answer): string {
  return (JSON.parse(body) as { SnapshotId: string }).SnapshotId;
}

export function reasonOf({ body }: Answer): string | undefined {
  return (JSON.parse(body) as { Reason?: string }).Reason;
}

/** Seconds of the simulator's clock. */
export async function pass({ world }: Simulator, seconds: number): Promise<void> {
  await world.clock.sleep(seconds * 1000);
}

/** A complete snapshot with one block. */
export async function whole(simulator: Simulator, token = 'whole', readable = true): Promise<string> {
  const id = idOf(await startSnapshot(simulator, { ClientToken: token }));
  await put(simulator, id, 0);
  await complete(simulator, id, 1);
  await pass(simulator, readable ? 60 : 5);
  return id;
}
