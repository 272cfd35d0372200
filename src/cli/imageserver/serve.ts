import { command } from '../command.js';
import { storeOptions } from '../open-store.js';
import { flag, oneOf, optional, repeated } from '../option.js';
import { PUSHES } from './pushes.js';

const { server: _server, ...places } = storeOptions;

export const serveCommand = command({
  name: 'serve',
  summary: 'Serve a store to other machines',
  details: `Listens on a Unix socket, which serves root and its own user, or on TCP with TLS and certificates
on both ends: gRPC for images, HTTP/1.1 for the bytes of objects, at the same address. What a caller
may do stands in its certificate (docs/imageserver.md). Ends in order on SIGTERM.`,
  options: {
    config: optional('--config <file>', 'the configuration, in YAML'),
    listen: repeated(
      '--listen <address>',
      'where to listen: unix:PATH or HOST:PORT; may be repeated; default: unix:/run/image-unpacker/imageserver.sock',
    ),
    replicateFrom: optional(
      '--replicate-from <server>',
      'an image server that this one is to be a replica of: HOST:PORT or unix:PATH',
    ),
    replicateCerts: optional(
      '--replicate-certs <dir>',
      'ca.pem, cert.pem and key.pem to show that server; default: those of --certs',
    ),
    pushes: optional(
      '--pushes <what>',
      'what a replica does with images that are sent to it: refuse, or forward them to its source; default: refuse',
      oneOf(...PUSHES),
    ),
    ...places,
    trustedKeys: optional(
      '--trusted-keys <file>',
      'public keys in PEM: only images that are signed with one of them are taken',
    ),
    demandContent: flag(
      '--demand-content',
      'have the whole content of every object sent, and compare it with what is there',
    ),
  },
  run: async ({ options, signal, log }) => {
    const { runImageServer } = await import('./run-server.js');
    await runImageServer(options, { signal, log });
  },
  show: () => '',
});
