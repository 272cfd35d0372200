import type { UnpackerClient } from '../rpc/unpacker-client.js';
import type { OptionValues } from './command.js';
import { fromEnvironment, optional } from './option.js';

/** The options that say which agent is meant. */
export const unpackerOptions = {
  unpacker: fromEnvironment(
    'IMAGE_UNPACKER',
    optional('--unpacker <address>', 'the agent: HOST:PORT or unix:PATH; default: the one of this machine'),
  ),
  certs: optional(
    '--certs <dir>',
    'ca.pem, cert.pem and key.pem, for TCP; default: /etc/image-unpacker/certs',
  ),
};

/** Does `work` with the agent that the options name. Throws as `connectUnpacker`. */
export async function withUnpacker<T>(
  { unpacker, certs }: OptionValues<typeof unpackerOptions>,
  signal: AbortSignal,
  work: (unpacker: UnpackerClient) => Promise<T>,
): Promise<T> {
  const { connectUnpacker } = await import('../rpc/unpacker-client.js');
  const client = await connectUnpacker(unpacker, { certs, signal });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
