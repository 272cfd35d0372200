// `npm run test:asan [-- TEST…]`: builds the addon with AddressSanitizer and UBSan into build/sanitized, and runs the tests
// that use it, as root those of volumes too. Whatever a sanitizer finds, in whatever process, ends the run with 1.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildWithNodeGyp } from '../native/node-gyp.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const FLAGS = '-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1';

/** Tests in which the addon does the work. */
const UNIT = [
  'test/fuzz/fuzz.test.ts',
  'test/source/directory.test.ts',
  'test/source/known-files.test.ts',
  'test/image/plan.test.ts',
  'test/store/diff.test.ts',
  'test/store/local.test.ts',
  'test/store/verify.test.ts',
  'test/volume/**/*.test.ts',
];
const ROOT = [
  'test/root/apply.test.ts',
  'test/root/capture.test.ts',
  'test/root/check.test.ts',
  'test/root/differences.test.ts',
  'test/root/flags.test.ts',
  'test/root/hostile-images.test.ts',
  'test/root/scan-volume.test.ts',
  'test/root/source/**/*.test.ts',
];

/** Where the compiler has a library; undefined if it has none. */
function libraryOf(name) {
  const path = execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  return existsSync(path) ? path : undefined;
}

function build() {
  const directory = join(root, 'build/sanitized');
  mkdirSync(directory, { recursive: true });
  copyFileSync(join(root, 'binding.gyp'), join(directory, 'binding.gyp'));
  rmSync(join(directory, 'native'), { force: true });
  symlinkSync('../../native', join(directory, 'native'));
  process.env.CXXFLAGS = FLAGS;
  process.env.LDFLAGS = '-fsanitize=address,undefined';
  buildWithNodeGyp(directory, { quiet: true });
  delete process.env.CXXFLAGS;
  delete process.env.LDFLAGS;
}

/** Runs tests with the sanitizers in each process; whether they pass. Findings are files in `findings`. */
function run(suite, tests, findings) {
  // Node is no program of theirs: it brings neither library, and what it leaks is not ours.
  const preloaded = ['libasan.so', 'libstdc++.so.6'].map(libraryOf);
  if (preloaded.includes(undefined))
    throw new Error('g++ has no libasan.so; install libgcc-12-dev or libasan');
  const log = `log_path=${join(findings, 'finding')}`;
  const env = {
    ...process.env,
    TEST_SUITE: suite,
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --conditions=sanitized`,
    LD_PRELOAD: preloaded.join(' '),
    ASAN_OPTIONS: `detect_leaks=0:abort_on_error=1:${log}`,
    UBSAN_OPTIONS: `print_stacktrace=1:${log}`,
  };
  requireSanitized(env);
  const ava = join(root, 'node_modules/ava/entrypoints/cli.mjs');
  return spawnSync(process.execPath, [ava, ...tests], { cwd: root, env, stdio: 'inherit' }).status === 0;
}

/** Throws unless what Node loads with `env` is the addon with the sanitizers. */
function requireSanitized(env) {
  const script = `require('#addon'); process.stdout.write(require('fs').readFileSync('/proc/self/maps'))`;
  const maps = execFileSync(process.execPath, ['--input-type=commonjs', '-e', script], {
    cwd: root,
    env,
    encoding: 'utf8',
  });
  if (!maps.includes('build/sanitized/') || !maps.includes('libasan'))
    throw new Error('the sanitizers are not in use');
}

build();
const findings = mkdtempSync(join(tmpdir(), 'sanitizer-'));
try {
  const chosen = process.argv.slice(2);
  const isRoot = process.getuid() === 0;
  const [unit, volumes] =
    chosen.length === 0
      ? [UNIT, isRoot ? ROOT : []]
      : [
          chosen.filter(each => !each.startsWith('test/root/')),
          chosen.filter(each => each.startsWith('test/root/')),
        ];
  if (chosen.length === 0 && !isRoot) console.log('SKIPPED: the tests of volumes need root');
  const passed = [
    unit.length === 0 || run('unit', unit, findings),
    volumes.length === 0 || run('root', volumes, findings),
  ];
  const found = readdirSync(findings);
  for (const name of found) console.log(readFileSync(join(findings, name), 'utf8'));
  console.log(`${found.length} findings of the sanitizers`);
  process.exitCode = found.length === 0 && passed.every(Boolean) ? 0 : 1;
} finally {
  rmSync(findings, { recursive: true, force: true });
}
