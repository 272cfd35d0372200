import { buildCommand } from './build.js';
import { channelCommand } from './channel.js';
import { channelsCommand } from './channels.js';
import { copyCommand } from './copy.js';
import { deleteCommand } from './delete.js';
import { diffCommand } from './diff.js';
import { expireCommand } from './expire.js';
import { extractCommand } from './extract.js';
import { gcCommand } from './gc.js';
import { latestCommand } from './latest.js';
import { listCommand } from './list.js';
import { sbomCommand } from './sbom.js';
import { setChannelCommand } from './set-channel.js';
import { setExpiryCommand } from './set-expiry.js';
import { showCommand } from './show.js';
import { signCommand } from './sign.js';
import { tagCommand } from './tag.js';
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
    sbomCommand,
    verifyCommand,
    extractCommand,
    copyCommand,
    signCommand,
    tagCommand,
    setExpiryCommand,
    channelsCommand,
    channelCommand,
    setChannelCommand,
    deleteCommand,
    expireCommand,
    gcCommand,
  ],
};
