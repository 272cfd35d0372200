import { main } from '../program.js';
import { applyCommand } from './apply.js';
import { captureCommand } from './capture.js';
import { checkCommand } from './check.js';

await main({
  name: 'image-unpacker',
  description: 'Makes volumes exactly images, checks them and captures them',
  commands: [applyCommand, checkCommand, captureCommand],
});
