import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { temporaryDirectory } from '../temporary-directory.js';

function install(...args: string[]) {
  return spawnSync('scripts/install', args, { encoding: 'utf8' });
}

/** A system that the package lies in /opt of. */
function makeSystem(t: ExecutionContext): { root: string; places: string[] } {
  const root = temporaryDirectory(t);
  return { root, places: ['--root', root, '--package', '/opt/image-unpacker'] };
}

function filesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(path => statSync(join(root, path)).isFile())
    .sort();
}

const CONFIGURATION = 'etc/image-unpacker/agent.yaml';
const INSTALLED = [
  CONFIGURATION,
  'etc/systemd/system/image-unpacker.service',
  'etc/systemd/system/image-unpacker.service.d/10-path.conf',
  'etc/sysusers.d/image-unpacker.conf',
  'etc/tmpfiles.d/image-unpacker.conf',
];

test('the agent is installed, again, and uninstalled', t => {
  const { root, places } = makeSystem(t);
  t.is(install(...places).status, 0);
  t.deepEqual(filesBelow(root), INSTALLED);
  t.true(readFileSync(join(root, INSTALLED[2]!), 'utf8').includes('PATH=/opt/image-unpacker/bin:'));

  const again = install(...places);
  t.is(again.status, 0);
  t.true(again.stdout.includes(`Kept: ${join(root, CONFIGURATION)}`));
  t.is(install('--uninstall', ...places).status, 0);
  t.deepEqual(filesBelow(root), []);
  t.is(install('--uninstall', ...places).status, 0);
});

test('the image server is installed beside the agent, and each is uninstalled for itself', t => {
  const { root, places } = makeSystem(t);
  const server = [
    'etc/image-unpacker/imageserver.yaml',
    'etc/systemd/system/imageserver.service',
    'etc/systemd/system/imageserver.service.d/10-path.conf',
    'etc/sysusers.d/imageserver.conf',
  ];
  t.is(install('--imageserver', ...places).status, 0);
  t.deepEqual(filesBelow(root), server);
  t.is(install(...places).status, 0);
  t.deepEqual(filesBelow(root), [...INSTALLED, ...server].sort());
  t.is(install('--uninstall', ...places).status, 0);
  t.deepEqual(filesBelow(root), server);
  t.is(install('--uninstall', '--imageserver', ...places).status, 0);
  t.deepEqual(filesBelow(root), []);
});

test('a configuration that was changed stays', t => {
  const { root, places } = makeSystem(t);
  install(...places);
  writeFileSync(join(root, CONFIGURATION), 'store: /srv/images\n');
  install(...places);
  t.is(readFileSync(join(root, CONFIGURATION), 'utf8'), 'store: /srv/images\n');
  install('--uninstall', ...places);
  t.deepEqual(filesBelow(root), [CONFIGURATION]);
});

test('a dry run tells all and does nothing', t => {
  const { root, places } = makeSystem(t);
  const dry = install('--dry-run', ...places);
  t.is(dry.status, 0);
  for (const file of INSTALLED) t.true(dry.stdout.includes(join(root, file)), file);
  t.deepEqual(filesBelow(root), []);

  install(...places);
  t.is(install('--dry-run', '--uninstall', ...places).status, 0);
  t.deepEqual(filesBelow(root), INSTALLED);
});

test('a package where the service could not see it is refused', t => {
  const { root } = makeSystem(t);
  for (const place of ['/home/me/image-unpacker', '/root', '/tmp/x']) {
    const { status, stderr } = install('--root', root, '--package', place);
    t.is(status, 1);
    t.regex(stderr, /^install: \S+ is where the service cannot see it; put the package elsewhere/);
  }
  t.deepEqual(filesBelow(root), []);
});

test('a call that is wrong is told so', t => {
  for (const args of [['--dryrun'], ['--root'], ['x']]) {
    const { status, stderr } = install(...args);
    t.is(status, 2);
    t.regex(stderr, /^install: /);
  }
  t.is(install('--help').status, 0);
});
