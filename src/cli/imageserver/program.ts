import { makeCertsCommand } from './make-certs.js';
import { serveCommand } from './serve.js';
import { statusCommand } from './status.js';

export const imageserver = {
  name: 'imageserver',
  description: 'Serves images to other machines',
  commands: [serveCommand, statusCommand, makeCertsCommand],
};
