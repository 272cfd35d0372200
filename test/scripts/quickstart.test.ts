import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { temporaryDirectory } from '../temporary-directory.js';

interface QuickstartRequest {
  source: string | undefined;
  stream: string;
  published: string;
  kept: string;
}

interface Ended {
  status: number;
  stdout: string;
  stderr: string;
}

const load = async (name: string): Promise<unknown> =>
  import(new URL(`../../scripts/quickstart/${name}.mjs`, import.meta.url).href);

const { readRequest, UsageError } = (await load('request')) as {
  readRequest(
    this: void,
    parameters: string[],
    around: { environment: Record<string, string>; directory: string },
  ): QuickstartRequest | undefined;
  UsageError: new () => Error;
};
const { missingHere } = (await load('prepare')) as { missingHere(this: void): string | undefined };
const { revise } = (await load('revise')) as { revise(this: void, tree: string, release: string): string[] };
const { Interrupted, ProgramFailure, run } = (await load('child')) as {
  run(this: void, program: string, args: string[], options: { signal: AbortSignal }): Promise<Ended>;
  Interrupted: new () => Error;
  ProgramFailure: new () => Error;
};

test('paths are meant from where npm was called', t => {
  const around = { environment: { INIT_CWD: '/home/me', XDG_CACHE_HOME: '/cache' }, directory: '/package' };
  t.deepEqual(readRequest([], around), {
    source: undefined,
    stream: 'quickstart/debian-12',
    published: '/home/me/published',
    kept: '/cache/image-unpacker/quickstart',
  });
  const other = readRequest(['--to', '../disks', 'my root (new).tar.zst'], around);
  t.is(other?.source, '/home/me/my root (new).tar.zst');
  t.is(other?.published, '/home/disks');
  t.is(other?.stream, 'quickstart/my-root-new-');
  t.is(readRequest(['/'], around)?.stream, 'quickstart/content');
  t.is(readRequest(['--help'], around), undefined);
  t.throws(() => readRequest(['a', 'b'], around), { instanceOf: UsageError });
  t.throws(() => readRequest(['--form', 'a'], around), { instanceOf: UsageError });
});

test('the whole is called as npm calls it', t => {
  const quickstart = (...args: string[]) =>
    spawnSync('node', ['scripts/quickstart.mjs', ...args], { encoding: 'utf8' });
  const help = quickstart('--help');
  t.is(help.status, 0);
  t.true(help.stdout.startsWith('npm run quickstart'));
  t.is(quickstart('a', 'b').status, 2);
});

test('who is not root is told what is needed', t => {
  const { getuid } = process;
  process.getuid = () => 1000;
  try {
    t.regex(missingHere() ?? '', /Run it as root\.$/);
  } finally {
    process.getuid = getuid!;
  }
});

/** Makes a tree of files; each content that begins with `->` is a link. */
function makeTree(root: string, files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    if (content.startsWith('->')) symlinkSync(content.slice(2), join(root, path));
    else writeFileSync(join(root, path), content);
  }
}

test('a release changes settings, adds an application, upgrades a package, and removes something', t => {
  const tree = temporaryDirectory(t);
  makeTree(tree, {
    'etc/motd': 'hello\n',
    'usr/bin/tool': 'tool',
    'usr/bin/become': 'become',
    'usr/lib/other': 'other',
    'usr/share/doc/one/copyright': '',
    'usr/share/doc/two/copyright': '',
    'var/lib/dpkg/info/tool.list': '/.\n/usr/bin/tool\n/usr/bin/become\n/usr/gone\n',
  });
  chmodSync(join(tree, 'usr/bin/become'), 0o4755);
  t.deepEqual(revise(tree, '7'), [
    'settings: /etc/release-of-quickstart, /etc/motd',
    'an application: /opt/example-7, 42 files',
    'an upgrade: tool, 1 files',
    'removed: /usr/share/doc/one',
  ]);
  t.is(readFileSync(join(tree, 'etc/motd'), 'utf8'), 'hello\n# release 7\n');
  t.true(readFileSync(join(tree, 'usr/bin/tool'), 'utf8').includes('release 7'));
  t.is(readFileSync(join(tree, 'usr/bin/become'), 'utf8'), 'become');
  t.is(readFileSync(join(tree, 'usr/lib/other'), 'utf8'), 'other');
  t.is(statSync(join(tree, 'opt/example-7/share/data')).size, 4 << 20);
  t.false(existsSync(join(tree, 'usr/share/doc/one')));
});

test('content that is no system is changed as well', t => {
  const tree = temporaryDirectory(t);
  makeTree(tree, { 'a/one': 'x'.repeat(900), 'a/two': 'y'.repeat(100), b: '->a/one' });
  t.deepEqual(revise(tree, '7').slice(2), ['an upgrade: a part of the content, 1 files']);
  t.true(readFileSync(join(tree, 'a/one'), 'utf8').endsWith('release 7\n'));
});

test('no link leads a release out of its tree', t => {
  const directory = temporaryDirectory(t);
  const [outside, tree] = [join(directory, 'outside'), join(directory, 'tree')];
  const kept = {
    'etc/motd': 'mine',
    'opt/file': 'mine',
    'doc/one/file': 'mine',
    list: '/usr/bin/tool\n',
    tool: 'mine',
  };
  makeTree(outside, kept);
  makeTree(tree, {
    etc: `->${outside}/etc`,
    opt: `->${outside}/opt`,
    'usr/share/doc': `->${outside}/doc`,
    'usr/bin/tool': `->${outside}/tool`,
    'usr/lib': `->${outside}`,
    'var/lib/dpkg/info/a.list': '/../outside/tool\n/usr/bin/tool\n/usr/lib/tool\n',
    'var/lib/dpkg/info/b.list': `->${outside}/list`,
  });
  revise(tree, '7');
  for (const [path, content] of Object.entries(kept))
    t.is(readFileSync(join(outside, path), 'utf8'), content, path);
  t.false(existsSync(join(outside, 'opt/example-7')));
  t.true(existsSync(join(tree, 'opt/example-7/bin/example')));
});

test('a program that fails says why, and one that is not there too', async t => {
  const { signal } = new AbortController();
  t.is((await run('sh', ['-c', 'echo done'], { signal })).stdout, 'done\n');
  const failed = run('sh', ['-c', 'echo out of order >&2; exit 3'], { signal });
  await t.throwsAsync(failed, { instanceOf: ProgramFailure, message: /out of order/ });
  await t.throwsAsync(run('/no/such/program', [], { signal }), { instanceOf: ProgramFailure });
});

test('an interruption ends a program with all that it started', async t => {
  const directory = temporaryDirectory(t);
  const controller = new AbortController();
  const script = `sleep 60 & echo $! > ${directory}/child; wait`;
  const running = run('sh', ['-c', script], { signal: controller.signal });
  const said = (): string => readFileSync(join(directory, 'child'), { encoding: 'utf8', flag: 'a+' });
  while (!said().endsWith('\n')) await sleep(10);
  controller.abort();
  await t.throwsAsync(running, { instanceOf: Interrupted });
  const child = Number(said());
  while (isRunning(child)) await sleep(10);
  await t.throwsAsync(run('true', [], { signal: controller.signal }), { instanceOf: Interrupted });
});

/** Whether a process does anything still; one that has ended may wait for its parent to ask how. */
function isRunning(pid: number): boolean {
  const file = `/proc/${String(pid)}/stat`;
  return existsSync(file) && !readFileSync(file, 'utf8').includes(') Z ');
}
