// Builds the addon of the package fs-ext, unless it loads. It is no Node-API addon, so one build serves one
// version of Node only; and npm runs no install scripts of dependencies any more unless it is told to.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { buildWithNodeGyp } from './node-gyp.mjs';

const require = createRequire(import.meta.url);

/** Asks another process, as an addon that was loaded once would stay loaded. */
function loads() {
  const entry = JSON.stringify(require.resolve('fs-ext'));
  return spawnSync(process.execPath, ['-e', `require(${entry})`], { stdio: 'ignore' }).status === 0;
}

if (!loads()) buildWithNodeGyp(dirname(require.resolve('fs-ext/package.json')), { quiet: true });
if (!loads()) {
  console.error(`The package fs-ext was built but does not load in Node ${process.version}`);
  process.exit(1);
}
