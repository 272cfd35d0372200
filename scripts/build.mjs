// Compiles src to dist, packs the programs and writes the manual pages there, unless nothing has changed since that was done.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
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
  await packPrograms();
  writeManual();
  markBuilt(stamp, digest);
}

/**
 * A program of few files starts in half the time that one of two hundred modules takes, most of all when they are to
 * be read from disk. Packages stay outside, and what is loaded on demand stays so.
 */
async function packPrograms() {
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const programs = Object.keys(bin).map(name => [name, join(root, 'src', 'cli', name, 'main.ts')]);
  await build({
    entryPoints: Object.fromEntries([...programs, ['worker', join(root, 'src', 'unpacker', 'worker.ts')]]),
    outdir: join(output, 'programs'),
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'warning',
  });
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
