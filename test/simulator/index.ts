import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../src/cloud/aws/clock.js';
import { answerEbs, ebsOperation } from './ebs.js';
import { answerEc2 } from './ec2.js';
import type { Schedule } from './fault.js';
import { ServiceFault } from './fault.js';
import { answerJson } from './json-services.js';
import type { Timing } from './state.js';
import { World } from './state.js';
import type { Role } from './sts.js';
import { accessKey, accountOf, answerSts } from './sts.js';
import { answerAutoScaling } from './users.js';
import { escapeXml } from './xml.js';

/*
 * AWS, as far as publishing takes it, on one port of this machine: EC2, EBS direct, SSM, KMS and STS, for any number of
 * accounts and regions, which are told apart as AWS does it: by the access key and the scope of the signature.
 */

export interface SimulatorOptions {
  clock: Clock;
  timing?: Timing;
  roles?: readonly Role[];
  schedule?: Schedule;
  /** Milliseconds of the clock that an answer takes. */
  latency?: (operation: string) => number;
}

/** A call as the simulator got it. */
export interface SeenCall {
  account: string;
  region: string;
  operation: string;
  status: number;
  /** Whether the answer has been given. */
  answered: boolean;
}

export interface Simulator {
  url: string;
  world: World;
  calls: SeenCall[];
  /** How many connections were made to it. */
  connections: number;
  schedule: Schedule;
  /** Whether an account may not make a call in a region. */
  denies: (account: string, region: string, operation: string) => boolean;
  /** Whether calls of EC2 with DryRun are not made. */
  knowsDryRun: boolean;
  /** What a program that is to use it as AWS has in its environment, as the account. */
  environment(account: string): Record<string, string>;
  stop(): Promise<void>;
}

const SCOPE = /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\/aws4_request/;

export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const world = new World(options.clock, options.timing);
  const simulator: Simulator = {
    url: '',
    world,
    calls: [],
    connections: 0,
    schedule: options.schedule ?? (() => undefined),
    denies: () => false,
    knowsDryRun: true,
    environment: account => ({
      AWS_ENDPOINT_URL: simulator.url,
      AWS_ACCESS_KEY_ID: accessKey(account),
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    }),
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  const server = createServer((request, response) => {
    serve(simulator, options, request, response).catch(() => request.socket.destroy());
  });
  server.keepAliveTimeout = 60_000;
  server.on('connection', () => simulator.connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  simulator.url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return simulator;
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer | string;
}

async function serve(
  simulator: Simulator,
  options: SimulatorOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const [, key = '', region = '', service = ''] = SCOPE.exec(request.headers.authorization ?? '') ?? [];
  const account = accountOf(key);
  const operation = operationOf(service, request, body);
  const trouble = simulator.schedule(operation, { account: account ?? '', region });
  if (trouble === 'cut') return void request.socket.destroy();
  let answer: Answer;
  try {
    if (account === undefined)
      throw new ServiceFault(401, 'AuthFailure', 'AWS was not able to validate the credentials');
    if (trouble === 'throttled') throw throttled(service);
    if (trouble === 'failed') throw new ServiceFault(500, 'InternalError', 'An internal error has occurred.');
    if (simulator.denies(account, region, operation)) throw denied(service, operation);
    if (
      simulator.knowsDryRun &&
      service === 'ec2' &&
      new URLSearchParams(body.toString()).get('DryRun') === 'true'
    )
      throw dryRun();
    answer = answerOf(simulator.world, options, { account, region, service, request, body });
  } catch (reason) {
    if (!(reason instanceof ServiceFault)) throw reason;
    answer = faultAnswer(service, reason);
  }
  const seen = { account: account ?? '', region, operation, status: answer.status, answered: false };
  simulator.calls.push(seen);
  if (options.latency !== undefined) await options.clock.sleep(options.latency(operation));
  if (trouble === 'lost') return void request.socket.destroy();
  // Who has been killed meanwhile is told nothing.
  if (request.socket.destroyed) return;
  seen.answered = true;
  response.writeHead(answer.status, { 'x-amzn-RequestId': 'simulated', ...answer.headers }).end(answer.body);
}

function denied(service: string, operation: string): ServiceFault {
  const message = `User is not authorized to perform: ${operation}`;
  if (service === 'ec2') return new ServiceFault(403, 'UnauthorizedOperation', message);
  return new ServiceFault(service === 'ebs' ? 403 : 400, 'AccessDeniedException', message);
}

/** DryRun looks for permissions only, not for what the call would meet. */
function dryRun(): ServiceFault {
  const message = 'Request would have succeeded, but DryRun flag is set.';
  return new ServiceFault(412, 'DryRunOperation', message);
}

function throttled(service: string): ServiceFault {
  return service === 'ebs'
    ? new ServiceFault(400, 'RequestThrottledException', 'Rate exceeded', 'ACCOUNT_THROTTLED')
    : new ServiceFault(503, 'RequestLimitExceeded', 'Request limit exceeded.');
}

function operationOf(
  service: string,
  { method = '', url = '', headers }: IncomingMessage,
  body: Buffer,
): string {
  if (service === 'ebs') return ebsOperation({ method, path: new URL(url, 'http://x').pathname });
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return target.split('.').at(-1)!;
  return new URLSearchParams(body.toString()).get('Action') ?? '';
}

interface Asked {
  account: string;
  region: string;
  service: string;
  request: IncomingMessage;
  body: Buffer;
}

function answerOf(
  world: World,
  options: SimulatorOptions,
  { account, region, service, request, body }: Asked,
): Answer {
  const place = world.place(account, region);
  if (service === 'ebs') {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
    const headers = request.headers as Record<string, string | undefined>;
    const asked = { method: request.method ?? '', path: pathname, query: searchParams, headers, body };
    const { status, headers: more = {}, body: answer } = answerEbs(world, place, asked);
    return Buffer.isBuffer(answer)
      ? { status, headers: { 'content-type': 'application/octet-stream', ...more }, body: answer }
      : { status, headers: { 'content-type': 'application/json', ...more }, body: JSON.stringify(answer) };
  }
  const target = request.headers['x-amz-target'];
  if (typeof target === 'string') {
    const headers = { 'content-type': 'application/x-amz-json-1.1' };
    return { status: 200, headers, body: JSON.stringify(answerJson(place, target, body)) };
  }
  const form = new URLSearchParams(body.toString());
  const action = form.get('Action') ?? '';
  const headers = { 'content-type': 'text/xml;charset=UTF-8' };
  if (service === 'sts') {
    const result = answerSts(account, form, options.roles ?? [], Date.now());
    const xml = `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata></${action}Response>`;
    return { status: 200, headers, body: xml };
  }
  if (service === 'autoscaling') {
    const result = answerAutoScaling(place, form);
    const xml = `<${action}Response xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata></${action}Response>`;
    return { status: 200, headers, body: xml };
  }
  const content = answerEc2(world, place, form);
  const xml = `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>simulated</requestId>${content}</${action}Response>`;
  return { status: 200, headers, body: xml };
}

function faultAnswer(service: string, { status, code, message, reason }: ServiceFault): Answer {
  if (service === 'ebs') {
    const headers = {
      'content-type': 'application/json',
      'x-amzn-ErrorType': `${code}:http://internal.amazon.com/coral/`,
    };
    return { status, headers, body: JSON.stringify({ Message: message, Reason: reason }) };
  }
  if (service === 'ssm' || service === 'kms') {
    const headers = { 'content-type': 'application/x-amz-json-1.1' };
    return {
      status,
      headers,
      body: JSON.stringify({ __type: code, ...(message === '' ? {} : { message }) }),
    };
  }
  const isQuery = service === 'sts' || service === 'autoscaling';
  const error = `<Error>${isQuery ? '<Type>Sender</Type>' : ''}<Code>${code}</Code><Message>${escapeXml(message)}</Message></Error>`;
  const xml = isQuery
    ? `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${error}<RequestId>simulated</RequestId></ErrorResponse>`
    : `<Response><Errors>${error}</Errors><RequestID>simulated</RequestID></Response>`;
  return { status, headers: { 'content-type': 'text/xml;charset=UTF-8', connection: 'close' }, body: xml };
}
