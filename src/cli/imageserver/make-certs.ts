import { hostname } from 'node:os';
import { command } from '../command.js';
import { parseDuration } from '../../image/duration.js';
import { argument, repeated, withDefault } from '../option.js';
import { showText } from '../show.js';

const DAY_SECONDS = 86_400;

export const makeCertsCommand = command({
  name: 'make-certs',
  summary: 'Make a set of certificates to try with',
  details: `DIR gets an authority of its own (ca.pem, ca-key.pem), cert.pem and key.pem for the machine that
serves and for its administrator. DIR/reader, DIR/publisher, DIR/uploader and DIR/replicator are for
who may only read, publish, send images, or follow an image server: give each to --certs. A directory
that is there already and not empty is left as it is.`,
  arguments: { directory: argument('the directory to make') },
  options: {
    host: repeated(
      '--host <name>',
      'a name or address of the machine that serves; default: those of this one',
    ),
    upload: repeated(
      '--upload <stream>',
      'a stream that the uploader may send images of, and of those below it; default: any',
    ),
    expiresIn: withDefault('--expires-in <duration>', 'how long they are valid', '365d'),
  },
  run: async ({ args, options, signal }) => {
    const { makeCertificates } = await import('../../rpc/make-certificates.js');
    const hosts = options.host.length > 0 ? options.host : [hostname(), 'localhost', '127.0.0.1', '::1'];
    const days = Math.ceil(parseDuration(options.expiresIn) / DAY_SECONDS);
    const { directory } = args;
    const set = { directory, hosts, days, uploads: options.upload };
    return { directory, hosts, ...(await makeCertificates(set, signal)) };
  },
  show: ({ directory, hosts, expiresAt }) =>
    showText(`${directory} has certificates for ${hosts.join(', ')}, valid until ${expiresAt}`),
});
