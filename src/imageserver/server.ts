import { Server as GrpcServer } from '@grpc/grpc-js';
import { createServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ImageUnpackerError } from '../image/error.js';
import type { Address } from '../rpc/address.js';
import { CHANNEL_OPTIONS } from '../rpc/channel-options.js';
import { Health } from '../rpc/health.js';
import { MAX_SERVER_MESSAGE_BYTES } from '../rpc/image-server-messages.js';
import { reflectionService } from '../rpc/reflection.js';
import type { SharedPort } from '../rpc/shared-port.js';
import { openSharedPort } from '../rpc/shared-port.js';
import type { ImageRecord, Store } from '../store/store.js';
import type { Heal } from './damage.js';
import { DamageControl } from './damage.js';
import { ChangeFeed } from './change-feed.js';
import { DemandedContent } from './demanded-content.js';
import { imageServerService } from './grpc-service.js';
import type { Lease } from './held-store.js';
import { HeldStore } from './held-store.js';
import { HttpExchanges } from './http-exchanges.js';
import type { ReplicationStatus } from './replication/status.js';
import { answerHttp } from './http-service.js';
import { requireWhole } from './require-whole.js';
import { Revisions } from './revisions.js';
import { Statistics } from './statistics.js';
import { Uploads } from './uploads.js';

/** More connections at a time are refused unless it is said otherwise: each of a hundred machines has eight. */
const MAX_CONNECTIONS = 1024;
/** Who sends and takes nothing for so long has gone. */
const SILENCE_MILLISECONDS = 120_000;
const HEAD_MILLISECONDS = 10_000;
/** How often it is looked for those who take longer. */
const LOOK_MILLISECONDS = 5_000;

/** What is told of what happens. */
export interface ServerLog {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export interface ImageServerOptions {
  addresses: readonly Address[];
  /** The directory of the certificates, which addresses of TCP take. */
  certs: string;
  /** Opens the store that is served. */
  openStore: () => Promise<Store>;
  /** Brings what is damaged from elsewhere, if there is such a place. */
  heal?: Heal | undefined;
  version: string;
  log: ServerLog;
  /** Whether all content is to be sent, and compared with what is there. */
  demandsContent?: boolean | undefined;
  /** More connections at a time are refused, at each address. */
  maxConnections?: number | undefined;
  /** Who sends and takes nothing for so long is cut off; for tests. */
  silenceMilliseconds?: number;
  /** How it stands with following another server, if it does. */
  replication?: () => ReplicationStatus | undefined;
  /** Checks that all an image needs is there, unless somebody else does; also for tests. */
  requireWhole?: (lease: Lease, record: ImageRecord) => Promise<void>;
}

/** An image server that accepts calls. */
export interface RunningImageServer {
  /** Where it listens: ports are the real ones if any was asked for. */
  readonly addresses: readonly Address[];
  /** The store was changed here by somebody else: whoever watches it hears of it at once. */
  changed(): void;
  /** Accepts no more calls, gives those under way `seconds` to end, and cuts off what is left. */
  stop(seconds: number): Promise<void>;
}

/**
 * Serves a store at all of the addresses. Throws `CONFIGURATION` when the certificates are not there or not good,
 * `STATE_BUSY` when another process listens at an address, and what opening the store throws.
 */
export async function startImageServer(options: ImageServerOptions): Promise<RunningImageServer> {
  const { openStore, log } = options;
  const records = await openStore();
  const held = new HeldStore(openStore);
  const shop = new Shop(options, records, held);
  const ports: OpenPort[] = [];
  try {
    for (const address of options.addresses) ports.push(await shop.open(address, ports));
  } catch (reason) {
    for (const { port } of ports) {
      port.stop();
      port.destroy();
    }
    await held.close();
    await records.close();
    throw reason;
  }
  return {
    addresses: ports.map(({ port }) => port.address),
    changed: () => shop.revisions.poke(),
    stop: async seconds => {
      log.info({}, 'stopping');
      await Promise.all(ports.map(port => shut(port, seconds)));
      await shop.uploads.close();
      await held.close();
      await records.close();
    },
  };
}

interface OpenPort {
  port: SharedPort;
  grpc: GrpcServer;
  http: HttpServer;
  exchanges: HttpExchanges;
  health: Health;
}

class Shop {
  readonly uploads: Uploads;
  readonly revisions: Revisions;
  readonly #options: ImageServerOptions;
  readonly #records: Store;
  readonly #held: HeldStore;
  readonly #changes: ChangeFeed;
  readonly #statistics = new Statistics();
  readonly #damage: DamageControl;
  readonly #demanded: DemandedContent | undefined;

  constructor(options: ImageServerOptions, records: Store, held: HeldStore) {
    this.#options = options;
    this.#records = records;
    this.#held = held;
    this.revisions = new Revisions(records);
    this.#changes = new ChangeFeed(records);
    this.#damage = new DamageControl(held, this.#statistics, digest => {
      options.log.error({ digest }, 'an object of the store is damaged');
    });
    if (options.heal !== undefined) this.#damage.heal = options.heal;
    if (options.demandsContent === true) {
      this.#demanded = new DemandedContent(this.#damage, digest => {
        options.log.error(
          { digest },
          'an object was sent that has the digest of another one; it was refused',
        );
      });
    }
    const take = this.#demanded?.takeStream.bind(this.#demanded);
    this.uploads = new Uploads(held, take);
  }

  /** Listens at an address. */
  async open(address: Address, others: readonly OpenPort[]): Promise<OpenPort> {
    const { certs, log } = this.#options;
    const health = new Health();
    const opened: OpenPort[] = [];
    const load = (): { connections: number; uploads: number } => ({
      connections: [...others, ...opened].reduce((sum, { port }) => sum + port.connections(), 0),
      uploads: this.uploads.size,
    });
    const grpc = this.#grpc(address, health, load);
    const exchanges = new HttpExchanges();
    const http = this.#http(exchanges);
    const port = await openSharedPort({
      address,
      certs,
      grpc,
      http,
      maxConnections: this.#options.maxConnections ?? MAX_CONNECTIONS,
      events: {
        refused: (from, why) => {
          log.warn({ from, why }, 'a connection was refused');
        },
        reloaded: error => {
          if (error === undefined) log.info({}, 'certificates were read anew');
          else log.error({ err: error }, 'new certificates are no good; the old ones count on');
        },
      },
    });
    opened.push({ port, grpc, http, exchanges, health });
    return opened[0]!;
  }

  #grpc(address: Address, health: Health, load: () => { connections: number; uploads: number }): GrpcServer {
    const { version } = this.#options;
    const server = new GrpcServer({
      ...CHANNEL_OPTIONS,
      'grpc.max_receive_message_length': MAX_SERVER_MESSAGE_BYTES,
    });
    const service = imageServerService(
      {
        held: this.#held,
        records: this.#records,
        revisions: this.revisions,
        changes: this.#changes,
        damage: this.#damage,
        statistics: this.#statistics,
        load,
        location: this.#records.location,
        requireWhole: this.#options.requireWhole ?? requireWhole,
        version,
        replication: this.#options.replication ?? (() => undefined),
        failed: (path, error) => {
          this.#failed(path, error);
        },
      },
      address.kind === 'unix' ? 'peer' : 'certificate',
    );
    const all = [service, health.service()];
    for (const { definition, implementation } of [...all, reflectionService(all)])
      server.addService(definition, implementation);
    return server;
  }

  /** Who is refused is always told of. */
  #failed(request: string, error: ImageUnpackerError, caller?: string): void {
    const { log } = this.#options;
    const facts = { request, caller, code: error.code, reason: error.message, err: error.cause };
    if (error.code === 'NO_PERMISSION') log.warn(facts, 'a request was refused');
    else log.debug(facts, 'a request failed');
  }

  #http(exchanges: HttpExchanges): HttpServer {
    const context = {
      held: this.#held,
      records: this.#records,
      uploads: this.uploads,
      damage: this.#damage,
      demanded: this.#demanded,
      statistics: this.#statistics,
      failed: (request: string, caller: string, error: ImageUnpackerError) => {
        this.#failed(request, error, caller);
      },
    };
    const server = createServer({ connectionsCheckingInterval: LOOK_MILLISECONDS }, (request, response) => {
      exchanges.add(response);
      void answerHttp(request, response, context);
    });
    // A large object takes as long as it takes; silence ends a connection.
    server.requestTimeout = 0;
    server.headersTimeout = HEAD_MILLISECONDS;
    const silence = this.#options.silenceMilliseconds ?? SILENCE_MILLISECONDS;
    server.timeout = silence;
    server.keepAliveTimeout = silence;
    // It is handed its connections; only a server that listens looks after how long they take.
    server.emit('listening');
    return server;
  }
}

async function shut({ port, grpc, http, exchanges, health }: OpenPort, seconds: number): Promise<void> {
  health.stop();
  port.stop();
  http.closeIdleConnections();
  const ended = new Promise<void>(resolve => {
    grpc.tryShutdown(() => {
      resolve();
    });
  });
  const late = new AbortController();
  await Promise.race([
    Promise.all([ended, exchanges.end()]),
    sleep(seconds * 1000, undefined, { signal: late.signal }).catch(() => undefined),
  ]);
  late.abort();
  grpc.forceShutdown();
  http.close();
  port.destroy();
}
