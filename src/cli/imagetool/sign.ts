import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, required } from '../option.js';
import { showText } from '../show.js';

export const signCommand = command({
  name: 'sign',
  summary: 'Sign an image',
  details: `Signs what the image holds, its name, when it was made, and its annotations, with a private key of Ed25519 in PEM
(openssl genpkey -algorithm ed25519). The signature is a tag of the image. An image may be signed with several keys.`,
  arguments: { name: argument('the image') },
  options: { ...storeOptions, key: required('--key <file>', 'the private key') },
  run: async ({ options, args, signal }) => {
    const { createPublicKey } = await import('node:crypto');
    const { changeImage } = await import('../../store/change-image.js');
    const { readSigningKey } = await import('../../store/read-keys.js');
    const { keyId, withSignature } = await import('../../store/signature.js');
    const key = await readSigningKey(options.key);
    // Who signs need not trust what was signed before.
    return withStore({ ...options, trustedKeys: undefined }, signal, async store => {
      const { name, digest } = await changeImage(store, args.name, record => withSignature(record, key));
      return { name, digest, key: keyId(createPublicKey(key)) };
    });
  },
  show: ({ name, key }) => showText(`${name} is signed with the key ${key}`),
});
