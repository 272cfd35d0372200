import { Agent as PlainAgent } from 'node:http';
import { Agent } from 'node:https';
import { createRequire } from 'node:module';
import type { EBSClient } from '@aws-sdk/client-ebs';
import type { EC2Client } from '@aws-sdk/client-ec2';
import type { KMSClient } from '@aws-sdk/client-kms';
import type { SSMClient } from '@aws-sdk/client-ssm';
import type { STSClient } from '@aws-sdk/client-sts';
import { ImageUnpackerError } from '../../image/error.js';
import type { CallName, CallTypes, ServiceName } from './calls.js';
import { CALLS } from './calls.js';

/** Connections to one service in one region, each of which carries one call at a time. */
const MOST_SOCKETS = 128;
const CONNECT_MILLISECONDS = 5_000;

/** What the SDK takes as credentials: a function that gives valid ones whenever it is asked. */
export type CredentialProvider = NonNullable<ConstructorParameters<typeof EC2Client>[0]>['credentials'];

/** The clients of one account and region. */
export interface AwsClients {
  send<N extends CallName>(name: N, input: CallTypes[N][0], signal: AbortSignal): Promise<CallTypes[N][1]>;
}

type Client = EBSClient | EC2Client | KMSClient | SSMClient | STSClient;
type Sdk = Record<string, new (input: unknown) => unknown>;

const CLASSES: Readonly<Record<ServiceName, string>> = {
  ec2: 'EC2Client',
  ebs: 'EBSClient',
  ssm: 'SSMClient',
  kms: 'KMSClient',
  sts: 'STSClient',
  autoscaling: 'AutoScalingClient',
};

/** What the package of a service is called, where it is not the service's own name. */
const PACKAGES: Readonly<Partial<Record<ServiceName, string>>> = { autoscaling: 'auto-scaling' };

/** Loads a package of the SDK, whose hundreds of modules are worth it only when AWS is called. */
export function loadSdk(name: string): Sdk {
  try {
    // Far fewer modules are loaded this way than by import().
    return createRequire(import.meta.url)(`@aws-sdk/${name}`) as Sdk;
  } catch (reason) {
    const message = `The package @aws-sdk/${name}, which publishing to AWS takes, is not installed: run 'npm ci' without --omit=optional`;
    throw new ImageUnpackerError('UNSUPPORTED', message, {}, reason);
  }
}

/**
 * The connections of a command. All clients share them: a publication to 200 places has as many clients of each service, but
 * only so many calls at a time, and a connection with its buffers takes some 100 KiB for as long as it is kept.
 */
export interface Connections {
  readonly connectionTimeout: number;
  readonly httpAgent: PlainAgent;
  readonly httpsAgent: Agent;
}

/** No connection is made before it is needed. */
export function makeConnections(): Connections {
  const options = { keepAlive: true, maxSockets: MOST_SOCKETS };
  return {
    connectionTimeout: CONNECT_MILLISECONDS,
    httpAgent: new PlainAgent(options),
    httpsAgent: new Agent(options),
  };
}

/** The clients of a region, each made when it is first used. */
export function makeClients(
  region: string,
  credentials: CredentialProvider,
  requestHandler: Connections,
): AwsClients {
  const clients = new Map<ServiceName, { client: Client; sdk: Sdk }>();
  const open = (service: ServiceName): { client: Client; sdk: Sdk } => {
    let opened = clients.get(service);
    if (opened === undefined) {
      const sdk = loadSdk(`client-${PACKAGES[service] ?? service}`);
      const client = new sdk[CLASSES[service]]!({
        region,
        credentials,
        // Retries are ours: nested ones multiply, and make a second resource where an answer was lost.
        maxAttempts: 1,
        requestHandler,
      }) as Client;
      if (service === 'ebs') sendUnsigned(client as EBSClient);
      skipRetries(client);
      opened = { client, sdk };
      clients.set(service, opened);
    }
    return opened;
  };
  return {
    send: async (name, input, abortSignal) => {
      const { client, sdk } = open(CALLS[name].service);
      const command = new sdk[`${name}Command`]!(input);
      const send = client.send.bind(client) as (command: unknown, options: object) => Promise<never>;
      return send(command, { abortSignal });
    },
  };
}

/** What would make attempts again makes one, and costs as much for each block as its signature: nothing takes its place. */
function skipRetries({ middlewareStack }: Client): void {
  (middlewareStack as EBSClient['middlewareStack']).add(next => args => next(args), {
    step: 'finalizeRequest',
    priority: 'high',
    name: 'retryMiddleware',
    override: true,
  });
}

/** A block has a checksum of its own; hashing it once more for the signature costs half a millisecond each. */
function sendUnsigned(client: EBSClient): void {
  client.middlewareStack.add(
    next => args => {
      const request = args.request as { headers?: Record<string, string>; method?: string };
      if (request.method === 'PUT' && request.headers !== undefined) {
        request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      }
      return next(args);
    },
    { step: 'build', name: 'unsignedBlocks' },
  );
}
