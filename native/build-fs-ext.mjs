// Builds the addon of the package fs-ext, unless it loads. It is no Node-API addon, so one build serves one
// version of Node only; and npm runs no install scripts of dependencies any more unless it is told to.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { buildWithNodeGyp } from './node-gyp.mjs';

const require = createRequire(import.meta.url);

/** Says why the package does not load, if so. Asks another process: what was loaded once would stay so. */
function loadFault() {
  const entry = JSON.stringify(require.resolve('fs-ext'));
  const { status, stderr } = spawnSync(process.execPath, ['-e', `require(${entry})`], { encoding: 'utf8' });
  return status === 0 ? undefined : stderr;
}

if (loadFault() !== undefined) {
  buildWithNodeGyp(dirname(require.resolve('fs-ext/package.json')), { quiet: true });
  const fault = loadFault();
  if (fault !== undefined) {
    console.error(`The package fs-ext was built but does not load in Node ${process.version}:\n${fault}`);
    process.exit(1);
  }
}
