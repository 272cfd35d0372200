import { isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';

/*
 *   address = "unix:" path | host [ ":" port ]
 *   host    = name | IPv4 address | "[" IPv6 address "]"
 */

/** Where a service listens. */
export type Address =
  | { kind: 'unix'; path: string }
  | {
      kind: 'tcp';
      host: string;
      port: number;
      /** The name that its certificate must have, where that is not the host's. */
      serverName?: string | undefined;
    };

/** The port of an agent, which is the reference system's. */
export const UNPACKER_PORT = 6974;
/** The port of an image server, which is the reference system's. */
export const IMAGE_SERVER_PORT = 6971;
/** Where an agent listens unless it is told otherwise. */
export const LOCAL_UNPACKER = 'unix:/run/image-unpacker/agent.sock';
/** The same for an image server. */
export const LOCAL_IMAGE_SERVER = 'unix:/run/image-unpacker/imageserver.sock';

const UNIX = 'unix:';
/** What fits into a socket address with its final NUL (unix(7)). */
const MAX_SOCKET_PATH = 107;
const HOST_AND_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/;

/** Takes an address apart. Throws `USAGE`. */
export function parseAddress(text: string, defaultPort: number): Address {
  if (text.startsWith(UNIX)) return unixAddress(text.slice(UNIX.length));
  const [, ipv6, name, port] = HOST_AND_PORT.exec(text) ?? [];
  const host = ipv6 ?? name;
  const number = port === undefined ? defaultPort : Number(port);
  if (host === undefined || number > 65_535 || (ipv6 !== undefined && !isIPv6(ipv6))) {
    throw new ImageUnpackerError('USAGE', `"${text}" is no address; write HOST:PORT or unix:PATH`);
  }
  return { kind: 'tcp', host, port: number };
}

function unixAddress(given: string): Address {
  const path = resolve(given);
  if (given === '' || path.includes('\0')) {
    throw new ImageUnpackerError('USAGE', 'The address "unix:" lacks the path of the socket');
  }
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    const most = `a socket's path can have ${String(MAX_SOCKET_PATH)} bytes`;
    throw new ImageUnpackerError('USAGE', `The path ${path} is too long: ${most}`, { path });
  }
  return { kind: 'unix', path };
}

/** An address as `parseAddress` reads it. */
export function showAddress(address: Address): string {
  if (address.kind === 'unix') return `${UNIX}${address.path}`;
  const host = isIPv6(address.host) ? `[${address.host}]` : address.host;
  return `${host}:${String(address.port)}`;
}
