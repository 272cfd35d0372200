import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Address } from './address.js';
import { showAddress } from './address.js';
import { readCertificates } from './certificates.js';
import { CHANNEL_OPTIONS } from './channel-options.js';
import { ImageUnpackerError } from '../image/error.js';
import { Health } from './health.js';
import { reflectionService } from './reflection.js';
import { listenOnSocket } from './socket-listener.js';

/** How a caller shows who it is: as the user at the other end of a Unix socket, or by a certificate. */
export type Trust = 'peer' | 'certificate';

/** A service and what implements it. */
export interface Service {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

/** What a server is started with. */
export interface ServerOptions {
  address: Address;
  /** The directory of the certificates, which an address of TCP takes. */
  certs: string;
  /** The services, for callers that are known in this way. */
  services: (trust: Trust) => Service[];
}

/** A server that accepts calls. */
export interface RunningServer {
  /** Where it listens: the port is the real one if any was asked for. */
  readonly address: Address;
  /** Accepts no more calls, gives those under way `seconds` to end, and cuts off what is left. */
  stop(seconds: number): Promise<void>;
}

/**
 * Starts a server on a Unix socket, which root and the own user may use, or on TCP with TLS on both ends. Health
 * and reflection are served besides. Throws `CONFIGURATION` when the certificates are not there or not good,
 * `STATE_BUSY` when another process listens at the address.
 */
export async function startServer({ address, certs, services }: ServerOptions): Promise<RunningServer> {
  const server = new Server(CHANNEL_OPTIONS);
  const offered = services(address.kind === 'unix' ? 'peer' : 'certificate');
  const health = new Health();
  const all = [...offered, health.service()];
  for (const { definition, implementation } of [...all, reflectionService(all)]) {
    server.addService(definition, implementation);
  }
  const listener = address.kind === 'unix' ? await listenOnSocket(server, address.path) : undefined;
  const port = address.kind === 'tcp' ? await bind(server, address, certs) : 0;
  return {
    address: address.kind === 'tcp' ? { ...address, port } : address,
    stop: async seconds => {
      health.stop();
      await listener?.stop();
      await shutDown(server, seconds);
      listener?.destroy();
    },
  };
}

async function bind(server: Server, address: Address & { kind: 'tcp' }, certs: string): Promise<number> {
  const { ca, cert, key } = await readCertificates(certs);
  const credentials = ServerCredentials.createSsl(ca, [{ cert_chain: cert, private_key: key }], true);
  return new Promise((resolve, reject) => {
    server.bindAsync(showAddress(address), credentials, (reason, port) => {
      if (reason === null) resolve(port);
      else reject(new ImageUnpackerError('STATE_BUSY', cannotListen(address, reason.message), {}, reason));
    });
  });
}

function cannotListen(address: Address, why: string): string {
  return `Cannot listen at ${showAddress(address)}: ${why}; name another address with --listen`;
}

async function shutDown(server: Server, seconds: number): Promise<void> {
  await new Promise<void>(resolve => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, seconds * 1000);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
