import { applyCommand } from './apply.js';
import { captureCommand } from './capture.js';
import { checkCommand } from './check.js';
import { devicesCommand } from './devices.js';
import { forgetCommand } from './forget.js';
import { pinCommand } from './pin.js';
import { serveCommand } from './serve.js';
import { statusCommand } from './status.js';
import { streamsCommand } from './streams.js';

export const imageUnpacker = {
  name: 'image-unpacker',
  description: 'Makes volumes exactly images, checks them and captures them',
  commands: [
    serveCommand,
    applyCommand,
    checkCommand,
    captureCommand,
    statusCommand,
    devicesCommand,
    streamsCommand,
    pinCommand,
    forgetCommand,
  ],
};
