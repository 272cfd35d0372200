import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

/**
 * Builds the addon whose binding.gyp stands in `directory`; if that fails, says why and ends the process.
 * The headers of the running Node are taken from beside its binary where they lie there; only otherwise
 * does node-gyp download them. With `quiet`, what the compiler says is shown only when the build fails.
 */
export function buildWithNodeGyp(directory, { quiet }) {
  const program = require.resolve('node-gyp/bin/node-gyp.js');
  const output = quiet ? 'pipe' : 2;
  const result = spawnSync(
    process.execPath,
    [program, 'configure', 'build', '--loglevel=error', '--jobs=max'],
    { cwd: directory, env: { ...process.env, ...nodeDirectory() }, stdio: ['ignore', output, output] },
  );
  if (result.status === 0) return;
  if (quiet) process.stderr.write(Buffer.concat([result.stdout, result.stderr]));
  console.error(
    `The addon in ${directory} could not be built. That needs a C++20 compiler, make and Python 3: ` +
      'apt-get install g++ make python3, or dnf install gcc-c++ make python3',
  );
  process.exit(1);
}

/** Set in the environment, where node-gyp looks last: a setting of npm for another Node must not win. */
function nodeDirectory() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include/node/node.h')) ? { npm_config_nodedir: prefix } : {};
}
