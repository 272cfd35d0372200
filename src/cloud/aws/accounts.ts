import { createHash } from 'node:crypto';
import { ImageUnpackerError } from '../../image/error.js';
import type { AccountAccess } from './access.js';
import type { Connections, CredentialProvider } from './clients.js';
import { loadSdk, makeClients, makeConnections } from './clients.js';
import type { Clock } from './clock.js';
import { SYSTEM_CLOCK } from './clock.js';
import type { Parallelism } from './parallelism.js';
import { PARALLELISM } from './parallelism.js';
import { SendingLimits } from './sending-limits.js';
import { AwsSession } from './session.js';

/** How long an attempt to get credentials may take. */
const CREDENTIALS_MILLISECONDS = 10_000;

type Provider = Exclude<CredentialProvider, undefined>;
type MakeProvider = (options: object) => Provider;

/** The accounts that a command works with: each is entered once, whatever number of regions and targets it has. */
export class AwsAccounts {
  readonly #clock: Clock;
  readonly #connections = makeConnections();
  readonly #providers = new Map<string, Provider>();
  readonly #sending: SendingLimits;
  readonly #sessions = new Map<string, Promise<AwsSession>>();

  constructor(clock: Clock = SYSTEM_CLOCK, parallelism: Parallelism = PARALLELISM) {
    this.#clock = clock;
    this.#sending = new SendingLimits(parallelism);
  }

  /**
   * The session of an account and region, the same one each time. Throws `NO_PERMISSION` when the account cannot be
   * entered, `CONFIGURATION` when the credentials are another account's.
   */
  async session(access: AccountAccess, region: string, signal?: AbortSignal): Promise<AwsSession> {
    const key = JSON.stringify([access, region]);
    let opening = this.#sessions.get(key);
    if (opening === undefined) {
      opening = this.#open(access, region, signal);
      this.#sessions.set(key, opening);
      // Whoever asks the next time tries again.
      opening.catch(() => this.#sessions.delete(key));
    }
    return opening;
  }

  async #open(access: AccountAccess, region: string, signal?: AbortSignal): Promise<AwsSession> {
    const place = `${access.accountId ?? 'the account'}/${region}`;
    const clients = makeClients(region, this.#provider(access, region), this.#connections);
    const { Account } = await new AwsSession(clients, this.#clock, place).call(
      'GetCallerIdentity',
      {},
      { signal },
    );
    if (access.accountId !== undefined && Account !== access.accountId) {
      const remedy = 'give a role of that account, or other credentials';
      const message = `The credentials for ${place} are those of the account ${Account ?? 'unknown'}; ${remedy}`;
      throw new ImageUnpackerError('CONFIGURATION', message, { target: place });
    }
    return new AwsSession(clients, this.#clock, { account: Account ?? '', region }, this.#sending);
  }

  /** One provider for all clients of an account: each of them would take on the role anew. */
  #provider(access: AccountAccess, region: string): Provider {
    const key = JSON.stringify(access);
    let provider = this.#providers.get(key);
    if (provider === undefined) {
      provider = makeProvider(access, region, this.#connections);
      this.#providers.set(key, provider);
    }
    return provider;
  }
}

function makeProvider(
  { profile, role, externalId, sessionName }: AccountAccess,
  region: string,
  connections: Connections,
): Provider {
  // Nobody can call off what is done to get credentials.
  const limits = { requestTimeout: CREDENTIALS_MILLISECONDS, throwOnRequestTimeout: true };
  const clientConfig = { region, requestHandler: { ...connections, ...limits } };
  const providers = loadSdk('credential-providers') as unknown as Record<string, MakeProvider>;
  const chain = providers['fromNodeProviderChain']!({
    ...(profile === undefined ? {} : { profile }),
    clientConfig,
  });
  if (role === undefined) return memoised(chain);
  return memoised(
    providers['fromTemporaryCredentials']!({
      masterCredentials: chain,
      params: {
        RoleArn: role,
        RoleSessionName: sessionName ?? defaultSessionName(role),
        ...(externalId === undefined ? {} : { ExternalId: externalId }),
      },
      clientConfig,
    }),
  );
}

/** Tells in CloudTrail who came; 2 to 64 characters of a small set (sts:AssumeRole). */
function defaultSessionName(role: string): string {
  return `image-unpacker-${createHash('sha256').update(role).digest('hex').slice(0, 8)}`;
}

/** Credentials are asked for by many calls at once, and again shortly before they run out. */
function memoised(provider: Provider): Provider {
  if (typeof provider !== 'function') return provider;
  const EARLY = 5 * 60 * 1000;
  let current: ReturnType<typeof provider> | undefined;
  return async () => {
    const known = await current?.catch(() => undefined);
    const expires = known?.expiration?.getTime();
    if (known === undefined || (expires !== undefined && expires - Date.now() < EARLY)) current = provider();
    return current!;
  };
}
