import { makeCertsCommand } from './make-certs.js';

export const imageserver = {
  name: 'imageserver',
  description: 'Makes the certificates that servers and their callers show each other',
  commands: [makeCertsCommand],
};
