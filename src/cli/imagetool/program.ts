import { buildCommand } from './build.js';
import { deleteCommand } from './delete.js';
import { diffCommand } from './diff.js';
import { extractCommand } from './extract.js';
import { gcCommand } from './gc.js';
import { latestCommand } from './latest.js';
import { listCommand } from './list.js';
import { showCommand } from './show.js';
import { verifyCommand } from './verify.js';

export const imagetool = {
  name: 'imagetool',
  description: 'Makes, lists, compares, checks and extracts images',
  commands: [
    buildCommand,
    listCommand,
    latestCommand,
    showCommand,
    diffCommand,
    verifyCommand,
    extractCommand,
    deleteCommand,
    gcCommand,
  ],
};
