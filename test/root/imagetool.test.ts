import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { imagetoolOn, json } from '../cli/imagetool/run.js';
import { makeNastyTree, makeVolume, run, shell, temporaryDirectory } from './ext4-fixture.js';
import { makeSmall } from './small-file-system.js';

/** A directory on a file system of its own, so that it can do all that ext4 can. */
function makeDirectory(t: ExecutionContext): string {
  const { directory, device } = makeVolume(t);
  const root = join(directory, 'tree');
  mkdirSync(root);
  run('mount', '-t', 'ext4', device, root);
  t.teardown(() => run('umount', root));
  run('mountpoint', '-q', root);
  return root;
}

interface Shown {
  path: string;
  type: string;
  flags?: number;
  device?: string;
  xattrs?: { name: string; value: string }[];
}

async function entriesOf(store: string, name: string): Promise<Map<string, Shown>> {
  const { list } = (await json(store, 0, 'show', name, '--entries')) as { list: Shown[] };
  return new Map(list.map(entry => [entry.path, entry]));
}

test('a directory with everything that is hard to get right is the image that GNU tar makes of it', async t => {
  const root = makeDirectory(t);
  const directory = temporaryDirectory(t);
  const store = join(directory, 'store');
  makeNastyTree(root);
  // What GNU tar has no place for: sockets, flags, hard links of fifos and devices, blocks never written.
  shell(
    root,
    `find . -type f -exec chattr -iadAS {} +; find . -type d -exec chattr -iadASD {} +
     rm unwritten partly; find . '(' -type s -o -type p -links +1 -o -type c -links +1 -o -type b -links +1 ')' -delete`,
  );
  const built = (await json(store, 0, 'build', 's/directory', '--from', root)) as {
    digest: string;
    entries: number;
  };
  const tar = join(directory, 'tree.tar');
  const options = [
    '--format=posix',
    '--xattrs',
    '--xattrs-include=*',
    '--acls',
    '--sparse',
    '--exclude=./lost+found',
  ];
  run('tar', ...options, '-cf', tar, '-C', root, '.');
  const packed = await json(store, 0, 'build', 's/tar', '--from', tar, '--mtimes-from', 'none');
  const difference = await json(store, 0, 'diff', 's/directory', 's/tar');
  t.like(difference, { changed: [], added: [], removed: [] });
  t.like(packed, { entries: built.entries });
});

test('devices, flags, attributes, lists and capabilities come in as they are', async t => {
  const root = makeDirectory(t);
  const store = join(temporaryDirectory(t), 'store');
  shell(
    root,
    `mknod c c 300 70000; mknod b b 7 1; mkfifo p
     touch immutable append both; mkdir d; chattr +i immutable; chattr +a append; chattr +dA both; chattr +D d
     touch x; setfattr -n user.a -v '' x; setfattr -n trusted.b -v 0x00ff x; setcap cap_net_raw+ep x
     touch acl; setfacl -m u:1000:rwx acl; setfacl -m d:u:1000:r d`,
  );
  t.teardown(() => shell(root, 'chattr -i immutable; chattr -a append'));
  await json(store, 0, 'build', 's/1', '--from', root);
  const entries = await entriesOf(store, 's/1');
  const names = (path: string): string[] | undefined => entries.get(path)?.xattrs?.map(({ name }) => name);
  t.like(entries.get('/c'), { type: 'character', device: '300:70000' });
  t.like(entries.get('/b'), { type: 'block', device: '7:1' });
  t.like(entries.get('/p'), { type: 'fifo' });
  t.is(entries.get('/immutable')?.flags, 0x10);
  t.is(entries.get('/append')?.flags, 0x20);
  t.is(entries.get('/both')?.flags, 0x40 | 0x80);
  t.is(entries.get('/d')?.flags, 0x10000);
  t.deepEqual(names('/x'), ['security.capability', 'trusted.b', 'user.a']);
  t.is(entries.get('/x')?.xattrs?.[1]?.value, '00ff');
  t.deepEqual(names('/acl'), ['system.posix_acl_access']);
  t.deepEqual(names('/d'), ['system.posix_acl_default']);
  t.false(entries.has('/lost+found'));
});

test('another file system that is mounted below is left empty, which is said', async t => {
  const root = makeDirectory(t);
  const store = join(temporaryDirectory(t), 'store');
  mkdirSync(join(root, 'below'));
  writeFileSync(join(root, 'file'), 'x');
  run('mount', '-t', 'tmpfs', '-o', 'mode=0750', 'tmpfs', join(root, 'below'));
  t.teardown(() => run('umount', join(root, 'below')));
  run('mountpoint', '-q', join(root, 'below'));
  writeFileSync(join(root, 'below/secret'), 'x');
  const { code, err } = await imagetoolOn(store, 'build', 's/1', '--from', root);
  t.is(code, 0);
  t.regex(err, /\/below is left empty: another file system is mounted there/);
  const entries = await entriesOf(store, 's/1');
  t.deepEqual([...entries.keys()], ['/', '/below', '/file']);
});

test('a file that another one is mounted on is refused', async t => {
  const root = makeDirectory(t);
  const directory = temporaryDirectory(t);
  for (const file of [join(root, 'file'), join(directory, 'other')]) writeFileSync(file, 'x');
  run('mount', '--bind', join(directory, 'other'), join(root, 'file'));
  t.teardown(() => run('umount', join(root, 'file')));
  const store = join(directory, 'store');
  const { error } = (await json(store, 1, 'build', 's/1', '--from', root)) as { error: object };
  t.like(error, { code: 'SOURCE_UNSUPPORTED', path: '/file' });
  t.false(existsSync(store));
});

test('a full disk is told of, leaves no image and nothing unfinished, and can be built on when there is room', async t => {
  const small = makeSmall(t, 'size=4m,nr_inodes=2000');
  const source = join(temporaryDirectory(t), 'source');
  mkdirSync(source);
  const store = join(small, 'store');
  for (let number = 0; number < 40; number++)
    writeFileSync(join(source, String(number)), Buffer.alloc(200_000, number));
  const tar = join(temporaryDirectory(t), 'x.tar');
  run('tar', '-cf', tar, '-C', source, '.');
  for (const from of [source, tar]) {
    const { error } = (await json(store, 1, 'build', 's/1', '--from', from)) as {
      error: { code: string; message: string };
    };
    t.is(error.code, 'NO_SPACE');
    t.regex(error.message, /store.*free some space/);
    t.deepEqual(await json(store, 0, 'list'), []);
    t.deepEqual(readdirSync(join(store, 'tmp')), []);
  }
  t.true(((await json(store, 0, 'gc')) as { removedObjects: number }).removedObjects > 5);
  run('mount', '-o', 'remount,size=20m', small);
  await json(store, 0, 'build', 's/1', '--from', source);
  t.like(await json(store, 0, 'verify', 's/1'), { ok: true, objects: 40 });
});

test('a store that cannot be written to can be read', async t => {
  const small = makeSmall(t, 'size=8m');
  const source = join(temporaryDirectory(t), 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'a'), 'x');
  const store = join(small, 'store');
  await json(store, 0, 'build', 's/1', '--from', source);
  run('mount', '-o', 'remount,ro', small);
  t.is(((await json(store, 0, 'list')) as unknown[]).length, 1);
  t.like(await json(store, 0, 'verify', 's/1'), { ok: true });
  t.like(await json(store, 1, 'build', 's/2', '--from', source), { error: { code: 'NO_PERMISSION' } });
  t.like(await json(store, 1, 'delete', 's/1'), { error: { code: 'NO_PERMISSION' } });
});

test('a source that may not be read is told of', t => {
  const directory = temporaryDirectory(t);
  const source = join(directory, 'source');
  mkdirSync(join(source, 'closed'), { recursive: true });
  writeFileSync(join(source, 'closed/a'), 'x');
  shell(directory, 'chmod 755 . source; chmod 000 source/closed; mkdir s; chown 65534 s');
  const call = [
    'bin/imagetool',
    'build',
    's/1',
    '--from',
    source,
    '--store',
    join(directory, 's/store'),
    '--json',
  ];
  const { status, stdout } = spawnSync(
    'setpriv',
    ['--reuid=65534', '--clear-groups', process.execPath, ...call],
    {
      encoding: 'utf8',
    },
  );
  t.is(status, 1);
  t.like(JSON.parse(stdout), { error: { code: 'NO_PERMISSION', path: '/closed' } });
  t.false(existsSync(join(directory, 's/store')));
});

test('files of a directory are known after a mount, and not on another file system on the same device', async t => {
  const volume = makeVolume(t);
  const { directory, device } = volume;
  const store = join(directory, 'store');
  const root = join(directory, 'source');
  mkdirSync(root);
  let leaf = 0;
  const build = async (): Promise<unknown> => {
    run('mount', '-t', 'ext4', '-o', 'ro', device, root);
    try {
      return await json(store, 0, 'build', `s/${String(++leaf)}`, '--from', root, '--mtimes-from', 'none');
    } finally {
      run('umount', root);
    }
  };
  const fill = (): void => volume.mounted(place => shell(place, 'printf hello > file; sleep 0.2'));
  fill();
  t.like(await build(), { newObjects: 1, skippedFiles: 0 });
  t.like(await build(), { newObjects: 0, skippedFiles: 1, skippedBytes: 5 });
  run('mkfs.ext4', '-q', '-F', '-b', '4096', device);
  fill();
  t.like(await build(), { newObjects: 0, skippedFiles: 0 });
});
