import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '../..');
const LOADER = new URL('../../src/cli/load-program.ts', import.meta.url).href;
const PROGRAM = "const { basename } = require('node:path'); console.log(basename(__filename), 1);";

function run(text: string): string {
  const words = ['--import=tsx', '--input-type=module', '--eval', text];
  const { stdout, stderr } = spawnSync(process.execPath, words, { cwd: ROOT, encoding: 'utf8' });
  return stdout + stderr;
}

/** Tells whether V8 took the code, then runs the program that is packed at `path`. */
function load(path: string): string {
  return run(`import { compilePacked, runPacked } from ${JSON.stringify(LOADER)};
const program = compilePacked(${JSON.stringify(path)});
console.log(program.script.cachedDataRejected);
runPacked(program);`);
}

test('A packed program is run, with its cache, without it, and with one that is not its own', t => {
  const directory = mkdtempSync(join(tmpdir(), 'load-program-'));
  const path = join(directory, 'program.cjs');
  const cache = join(directory, 'program.cache');
  try {
    writeFileSync(path, PROGRAM);
    t.is(load(path), 'undefined\nprogram.cjs 1\n', 'without');
    t.is(
      run(
        `import { loadProgram } from ${JSON.stringify(LOADER)}; loadProgram('file://${directory}/program.js');`,
      ),
      'program.cjs 1\n',
    );
    const words = [join(ROOT, 'scripts/cache-program.mjs'), path];
    const stub = join(directory, 'load-program.js');
    writeFileSync(stub, `export * from ${JSON.stringify(LOADER)};`);
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
    const made = spawnSync(process.execPath, ['--import=tsx', ...words], { cwd: ROOT, encoding: 'utf8' });
    t.is(made.stdout + made.stderr, 'program.cjs 1\n');
    t.is(load(path), 'false\nprogram.cjs 1\n', 'with');
    // V8 itself would take the old code: the length is the same.
    writeFileSync(path, PROGRAM.replace('1)', '2)'));
    t.is(load(path), 'undefined\nprogram.cjs 2\n', 'of another program');
    writeFileSync(path, PROGRAM);
    const bytes = readFileSync(cache);
    writeFileSync(cache, bytes.fill(0, 32));
    t.is(load(path), 'true\nprogram.cjs 1\n', 'of another V8');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
