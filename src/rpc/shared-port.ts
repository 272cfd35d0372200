import type { ConnectionInjector, Server as GrpcServer } from '@grpc/grpc-js';
import { ServerCredentials } from '@grpc/grpc-js';
import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo, Server as Listener, Socket } from 'node:net';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { createServer as createSecureServer } from 'node:tls';
import { ImageUnpackerError } from '../image/error.js';
import type { Address } from './address.js';
import { showAddress } from './address.js';
import type { Certificates } from './certificates.js';
import { watchCertificates } from './reloaded-certificates.js';
import { openSocket } from './socket-listener.js';

/*
 * One address for gRPC and for HTTP/1.1. Over TLS the two ends agree on one of them (ALPN, RFC 7301); on a Unix
 * socket the first bytes tell: each connection of HTTP/2 begins with the same ones (RFC 9113, section 3.4).
 */

const PREFACE = Buffer.from('PRI * HTTP/2.0');
/** Who has not said by then what it speaks is cut off. */
const BEGIN_SECONDS = 10;

/** What is told of what happens at a port. */
export interface PortEvents {
  /** A connection was refused: plain text, no certificate or not a good one, no room. */
  refused: (from: string, why: string) => void;
  /** Certificates were read again, or could not be. */
  reloaded: (error: ImageUnpackerError | undefined) => void;
}

export interface PortOptions {
  address: Address;
  /** The directory of the certificates, which an address of TCP takes. */
  certs: string;
  grpc: GrpcServer;
  http: HttpServer;
  /** More connections at a time are refused. */
  maxConnections: number;
  events: PortEvents;
}

/** A port that is listened at. */
export interface SharedPort {
  /** The port is the real one if any was asked for. */
  readonly address: Address;
  connections(): number;
  /** Accepts no further connections. */
  stop(): void;
  /** Ends the connections that are left. */
  destroy(): void;
}

/** Throws `CONFIGURATION` when the certificates are not there or not good, `STATE_BUSY` when another listens there. */
export async function openSharedPort(options: PortOptions): Promise<SharedPort> {
  return options.address.kind === 'unix'
    ? openPlain(options, options.address)
    : openSecure(options, options.address);
}

async function openPlain(options: PortOptions, address: Address & { kind: 'unix' }): Promise<SharedPort> {
  const port = new Port(options);
  const listener = await openSocket(address.path, socket => {
    if (!port.take(socket)) return;
    port.awaitBeginning(socket);
  });
  return port.opened(address, listener);
}

async function openSecure(options: PortOptions, address: Address & { kind: 'tcp' }): Promise<SharedPort> {
  const { events } = options;
  const certificates = await watchCertificates(options.certs, {
    changed: now => {
      server.setSecureContext(secured(now));
      events.reloaded(undefined);
    },
    failed: events.reloaded,
  });
  const server = createSecureServer({
    ...secured(certificates.current),
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: BEGIN_SECONDS * 1000,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  });
  const port = new Port(options);
  server.on('connection', (socket: Socket) => {
    port.take(socket);
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    port.begin(socket, socket.alpnProtocol === 'h2');
  });
  server.on('tlsClientError', (reason: NodeJS.ErrnoException, socket: TLSSocket) => {
    events.refused(socket.remoteAddress ?? 'somebody', reason.code ?? reason.message);
    socket.destroy();
  });
  server.listen(address.port, address.host);
  try {
    await once(server, 'listening');
  } catch (reason) {
    certificates.stop();
    throw cannotListen(address, reason);
  }
  const { port: number } = server.address() as AddressInfo;
  return port.opened({ ...address, port: number }, server, () => {
    certificates.stop();
  });
}

/** TLS 1.3 and a certificate of ours, at both ends. */
function secured({ ca, cert, key }: Certificates): TlsOptions {
  return { ca, cert, key, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true };
}

class Port {
  readonly #options: PortOptions;
  readonly #injector: ConnectionInjector;
  readonly #sockets = new Set<Socket>();

  constructor(options: PortOptions) {
    this.#options = options;
    this.#injector = options.grpc.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** Counts a connection, or refuses it. */
  take(socket: Socket): boolean {
    const { maxConnections, events } = this.#options;
    socket.on('error', () => socket.destroy());
    if (this.#sockets.size >= maxConnections) {
      events.refused(
        socket.remoteAddress ?? 'this machine',
        `there are ${String(maxConnections)} connections`,
      );
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return true;
  }

  begin(socket: Socket, isGrpc: boolean): void {
    socket.on('error', () => socket.destroy());
    if (isGrpc) this.#injector.injectConnection(socket);
    else this.#options.http.emit('connection', socket);
  }

  /** Waits for as many bytes as tell what is spoken, and lets them be read again. */
  awaitBeginning(socket: Socket): void {
    let seen = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), BEGIN_SECONDS * 1000);
    socket.once('close', () => {
      clearTimeout(timer);
    });
    const look = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
        seen = Buffer.concat([seen, chunk]);
      const most = Math.min(seen.length, PREFACE.length);
      const agrees = seen.subarray(0, most).equals(PREFACE.subarray(0, most));
      if (agrees && most < PREFACE.length) return;
      clearTimeout(timer);
      socket.off('readable', look);
      socket.unshift(seen);
      this.begin(socket, agrees);
    };
    socket.on('readable', look);
  }

  opened(address: Address, listener: Listener, ended: () => void = () => undefined): SharedPort {
    return {
      address,
      connections: () => this.#sockets.size,
      stop: () => {
        ended();
        listener.close();
      },
      destroy: () => {
        this.#injector.destroy();
        for (const socket of this.#sockets) socket.destroy();
      },
    };
  }
}

function cannotListen(address: Address, reason: unknown): ImageUnpackerError {
  const { message } = reason as Error;
  const advice = 'name another address with --listen';
  return new ImageUnpackerError(
    'STATE_BUSY',
    `Cannot listen at ${showAddress(address)}: ${message}; ${advice}`,
    {},
    reason,
  );
}
