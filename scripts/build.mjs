// Compiles src to dist, packs the programs and writes the manual pages there, unless nothing has changed since that was done.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { digestOf, isBuilt, markBuilt } from '../native/stamp.mjs';

/** Packages that are packed into the programs, and where their licences are. */
const PACKED = { commander: 'LICENSE', valibot: 'LICENSE.md' };

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, 'dist');
const stamp = join(output, '.digest');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const inputs = [
  'src',
  'scripts/build.mjs',
  'scripts/cache-program.mjs',
  'tsconfig.json',
  'tsconfig.build.json',
  'package.json',
  'package-lock.json',
].map(name => join(root, name));
const digest = digestOf(inputs);

if (!isBuilt(stamp, digest)) {
  // A module whose source is gone must not stay.
  rmSync(output, { recursive: true, force: true });
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const project = join(root, 'tsconfig.build.json');
  const { status } = spawnSync(process.execPath, [compiler, '-p', project], { stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(1);
  await packPrograms();
  cachePrograms();
  writeManual();
  markBuilt(stamp, digest);
}

/**
 * A program of one file, whose code V8 need not compile, starts in half the time that one of two hundred modules takes, most
 * of all when they are to be read from disk. Small packages that every program needs are part of it.
 */
async function packPrograms() {
  const { bin, dependencies, optionalDependencies } = manifest;
  const programs = [
    ...Object.keys(bin).map(name => [name, `src/cli/${name}/main.ts`]),
    ['worker', 'src/unpacker/worker.ts'],
  ];
  const packages = Object.keys({ ...dependencies, ...optionalDependencies }).filter(
    name => PACKED[name] === undefined,
  );
  const directory = join(output, 'programs');
  const common = { bundle: true, platform: 'node', target: 'node20', logLevel: 'warning' };
  await build({
    ...common,
    entryPoints: Object.fromEntries(programs.map(([name, path]) => [name, join(root, path)])),
    outdir: directory,
    outExtension: { '.js': '.cjs' },
    external: ['#addon', ...packages],
    format: 'cjs',
    // What is loaded on demand is required: code that V8 has kept knows no loader of modules.
    supported: { 'dynamic-import': false },
    minifySyntax: true,
    minifyWhitespace: true,
    // A module's place is that of what is started.
    define: { 'import.meta.url': 'moduleUrl' },
    banner: {
      js: "const moduleUrl = require('node:url').pathToFileURL(__filename.replace(/cjs$/, 'js')).href;",
    },
    footer: { js: `/*!\n${Object.keys(PACKED).map(licenceOf).join('\n\n')}\n*/` },
  });
  const loader = join(root, 'src', 'cli', 'load-program.ts');
  await build({ ...common, entryPoints: [loader], outdir: directory, format: 'esm' });
  const stub = "import { loadProgram } from './load-program.js';\nloadProgram(import.meta.url);\n";
  for (const [name] of programs) writeFileSync(join(directory, `${name}.js`), stub);
}

/** What a licence asks for when a package is part of a file. */
function licenceOf(name) {
  return `${name}: ${readFileSync(join(root, 'node_modules', name, PACKED[name]), 'utf8').trim()}`;
}

/** Has V8 compile what programs need to start, and what applying an image does until it finds no device. */
function cachePrograms() {
  for (const name of Object.keys(manifest.bin)) cacheProgram(name, '--help');
  cacheProgram('worker');
  const nowhere = ['--device', join(output, 'none'), '--store', join(output, 'none'), '--state-dir', output];
  cacheProgram('image-unpacker', 'apply', ...nowhere, '--image', 'none/none');
}

function cacheProgram(name, ...parameters) {
  const words = [join(root, 'scripts', 'cache-program.mjs'), join(output, 'programs', `${name}.cjs`)];
  const { NODE_OPTIONS, ...env } = process.env;
  const { error } = spawnSync(process.execPath, [...words, ...parameters], { stdio: 'ignore', env });
  if (error) throw error;
}

/** The programs know their commands and options; what they print is the page (man(1)). */
function writeManual() {
  mkdirSync(join(output, 'man'));
  for (const [name, program] of Object.entries(manifest.bin)) {
    const { status, stdout } = spawnSync(process.execPath, [join(root, program), 'manual'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) process.exit(1);
    writeFileSync(join(output, 'man', `${name}.1`), stdout);
  }
}
