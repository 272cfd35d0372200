// Builds the addon into build/Release, unless it is there and its sources have not changed since.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildWithNodeGyp } from './node-gyp.mjs';
import { digestOf, isBuilt, markBuilt } from './stamp.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const release = join(root, 'build/Release');
const stamp = join(release, 'image_unpacker.digest');
const headers = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve('node-addon-api/package.json'), 'utf8'),
);

// The addon keeps to Node-API, so one build serves every version of Node on this kind of machine. The
// root of the tree is part of the digest because a build directory that was moved does not work.
const digest = digestOf(
  [join(root, 'native'), join(root, 'binding.gyp')],
  [process.platform, process.arch, headers.version],
);

if (!isBuilt(stamp, digest) || !existsSync(join(release, 'image_unpacker.node'))) {
  buildWithNodeGyp(root, { quiet: false });
  markBuilt(stamp, digest);
}
