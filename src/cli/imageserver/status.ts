import type { GetServerResponse } from '../../rpc/gen/image_unpacker/v1/image_server.js';
import { LOCAL_IMAGE_SERVER } from '../../rpc/address.js';
import { CERTIFICATE_DIRECTORY } from '../../rpc/certificates.js';
import { command } from '../command.js';
import { optional } from '../option.js';
import { showCount, showCountOf, showSize, showText } from '../show.js';

export const statusCommand = command({
  name: 'status',
  summary: 'Show how it stands with an image server',
  options: {
    server: optional(
      '--server <server>',
      `the image server: HOST:PORT (default port 6971) or unix:PATH; default: ${LOCAL_IMAGE_SERVER}`,
    ),
    certs: optional(
      '--certs <dir>',
      'ca.pem, cert.pem and key.pem, for TCP; default: /etc/image-unpacker/certs',
    ),
  },
  run: async ({ options, signal }) => {
    const { connectImageServer } = await import('../../rpc/image-server-client.js');
    const address = options.server ?? LOCAL_IMAGE_SERVER;
    const certs = options.certs ?? CERTIFICATE_DIRECTORY;
    const client = await connectImageServer(address, address, { certs, signal });
    try {
      return withNumbers(await client.status());
    } finally {
      client.close();
    }
  },
  show: status =>
    [
      `version ${status.version}, running since ${status.startedAt}, serving ${status.store}`,
      `you are ${status.caller}, and may: ${status.rights.join(', ')}`,
      `${showCountOf(status.connections, 'connection')}, ${showCountOf(status.uploads, 'upload')} under way`,
      `sent ${showCountOf(status.objectsSent, 'object')} of ${showSize(status.bytesSent)}, received ${showCount(status.objectsReceived)} of ${showSize(status.bytesReceived)}`,
      ...showReplication(status.replication),
      `${showCountOf(status.damaged, 'object was', 'objects were')} found damaged; ${showSize(status.residentBytes)} of memory`,
    ]
      .map(line => showText(line))
      .join('\n'),
});

type Replication = Plain<NonNullable<GetServerResponse['replication']>> | undefined;

function showReplication(replication: Replication): string[] {
  if (replication === undefined) return [];
  const { source, state, imagesBehind, refused, followedAt, lastError } = replication;
  const since = followedAt === undefined ? '' : `, all that it had was here at ${followedAt}`;
  const wrong = lastError === undefined ? [] : [`the last thing that went wrong: ${lastError}`];
  const held = refused === 0 ? '' : `, ${showCount(refused)} that cannot be replicated`;
  return [
    `a replica of ${source}: ${state}, ${showCountOf(imagesBehind, 'image')} behind${held}${since}`,
    ...wrong,
  ];
}

/** Counts as JSON has them. */
type Plain<T> = T extends bigint
  ? number
  : T extends unknown[]
    ? T
    : T extends object
      ? { [Key in keyof T]: Plain<T[Key]> }
      : T;

function withNumbers<T extends object>(message: T): Plain<T> {
  const numbers = Object.entries(message).map(([key, value]: [string, unknown]) => {
    if (typeof value === 'bigint') return [key, Number(value)];
    const isMessage = typeof value === 'object' && value !== null && !Array.isArray(value);
    return [key, isMessage ? withNumbers(value) : value];
  });
  return Object.fromEntries(numbers) as Plain<T>;
}
