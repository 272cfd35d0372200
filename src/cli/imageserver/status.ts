import { LOCAL_IMAGE_SERVER } from '../../rpc/address.js';
import { CERTIFICATE_DIRECTORY } from '../../rpc/certificates.js';
import { command } from '../command.js';
import { optional } from '../option.js';
import { showCount, showSize, showText } from '../show.js';

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
      const status = await client.status();
      const numbers = Object.entries(status).map(([key, value]: [string, unknown]) => [
        key,
        typeof value === 'bigint' ? Number(value) : value,
      ]);
      return Object.fromEntries(numbers) as Plain<typeof status>;
    } finally {
      client.close();
    }
  },
  show: status =>
    [
      `version ${status.version}, running since ${status.startedAt}, serving ${status.store}`,
      `you are ${status.caller}, and may: ${status.rights.join(', ')}`,
      `${showCount(status.connections)} connections, ${showCount(status.uploads)} uploads under way`,
      `sent ${showCount(status.objectsSent)} objects of ${showSize(status.bytesSent)}, received ${showCount(status.objectsReceived)} of ${showSize(status.bytesReceived)}`,
      `${showCount(status.damaged)} objects were found damaged; ${showSize(status.residentBytes)} of memory`,
    ]
      .map(line => showText(line))
      .join('\n'),
});

/** Counts as JSON has them. */
type Plain<T> = { [Key in keyof T]: T[Key] extends bigint ? number : T[Key] };
