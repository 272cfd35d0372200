// Compiles src to dist and writes the manual pages there, unless that was done and nothing has changed since.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestOf, isBuilt, markBuilt } from '../native/stamp.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, 'dist');
const stamp = join(output, '.digest');
const inputs = ['src', 'tsconfig.json', 'tsconfig.build.json', 'package.json', 'package-lock.json'].map(
  name => join(root, name),
);
const digest = digestOf(inputs);

if (!isBuilt(stamp, digest)) {
  // A module whose source is gone must not stay.
  rmSync(output, { recursive: true, force: true });
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const project = join(root, 'tsconfig.build.json');
  const { status } = spawnSync(process.execPath, [compiler, '-p', project], { stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(1);
  writeManual();
  markBuilt(stamp, digest);
}

/** The programs know their commands and options; what they print is the page (man(1)). */
function writeManual() {
  mkdirSync(join(output, 'man'));
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const [name, program] of Object.entries(bin)) {
    const { status, stdout } = spawnSync(process.execPath, [join(root, program), 'manual'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) process.exit(1);
    writeFileSync(join(output, 'man', `${name}.1`), stdout);
  }
}
