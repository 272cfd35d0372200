import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { openDevice } from '../../src/volume/device.js';
import { keptPages } from '../../src/volume/kept-pages.js';
import type { KnownTree } from '../../src/volume/known-tree.js';
import { withMount } from '../../src/volume/mounted.js';
import { scanVolume } from '../../src/volume/scan-volume.js';
import { isNativeError, scanDevice, scanTree } from '../../src/native.js';
import { makeVolume, run, shell } from './ext4-fixture.js';

/*
 * A scan that knows what was there before finds what one finds that knows nothing, whatever was changed meanwhile.
 */

const MAKE = `
  for directory in a b c d e f g h; do
    mkdir $directory
    ( cd $directory && seq -f 'file-with-a-name-%04.0f' 800 | xargs touch && seq -f 'empty-%03.0f' 100 | xargs touch )
    for at in 0001 0100 0300; do echo $directory $at > $directory/file-with-a-name-$at; done
  done
  ln b/file-with-a-name-0001 g/again
  ln b/file-with-a-name-0001 b/twice
  ln -s ${'t'.repeat(80)} c/long
  ln -s short c/short
  truncate -s 1M d/holes; echo end >> d/holes
  mkfifo e/pipe; mknod e/null c 1 3; mknod e/block b 300 70000
  chown 70000:3000000000 f
  chmod 4751 b/file-with-a-name-0002
  touch -d @5000000000.000000001 b/file-with-a-name-0003
  chattr +i b/file-with-a-name-0004; chattr +a b/file-with-a-name-0005; chattr +d b/file-with-a-name-0006
  truncate -s 5G b/file-with-a-name-0007
  mkdir -p ${'deep/'.repeat(30)}
`;

/** Two directories whose blocks lie between one another's: more pieces than an inode has room to tell of. */
const INTERLEAVED = `
  mkdir left right
  for at in $(seq 200); do touch left/$at-${'l'.repeat(240)} right/$at-${'r'.repeat(240)}; done
`;

/** One after the other. */
const CHANGES = [
  'true',
  'echo more >> a/file-with-a-name-0001',
  'chmod 600 h/file-with-a-name-0300',
  'touch -d @7.5 d',
  'touch -d @-7.5 c/file-with-a-name-0100',
  'chown 5 b/twice',
  'rm g/again',
  'ln b/file-with-a-name-0001 e/another',
  'mv b/twice b/renamed',
  'mv b/renamed a/renamed',
  'ln -sf other c/short',
  'ln -sf other c/long',
  'rm d/file-with-a-name-01*',
  'mkdir z; echo new > z/new',
  'echo new > 0-first',
  'rm -r e',
  'mkfifo e',
  'mv c/file-with-a-name-0200 c/file-with-a-name-0200x; mv c/file-with-a-name-0201 c/file-with-a-name-0200',
  'setfattr -n user.new -v value f/file-with-a-name-0009',
  'fallocate -p -o 0 -l 4096 -n d/holes; truncate -s 2M d/holes',
];

async function scanned(t: ExecutionContext, path: string, known?: KnownTree, refused = false) {
  const device = await openDevice(path, { write: false });
  try {
    const scan = await withMount(device, false, root => scanTree(root, false, {}));
    if (!refused) t.true(scan.equals(await scanDevice(device.file.fd, {})));
    const kept = known && (await keptPages(scan, known, {})).length;
    return { kept, ...(await scanVolume(device, { known }, {})) };
  } finally {
    await device.file.close();
  }
}

/** Whether a scan of the device itself is refused, so that the kernel makes it. */
async function isRefused(path: string): Promise<boolean> {
  const device = await openDevice(path, { write: false });
  try {
    await scanDevice(device.file.fd, {});
    return false;
  } catch (reason) {
    return isNativeError(reason) && reason.code === 'EUCLEAN';
  } finally {
    await device.file.close();
  }
}

async function sameAsAnew(t: ExecutionContext, path: string, known: KnownTree, change: string) {
  const [found, anew] = [await scanned(t, path, known), await scanned(t, path)];
  t.deepEqual(found.tree.manifest.index, anew.tree.manifest.index, change);
  t.true(found.tree.digest.equals(anew.tree.digest), change);
  t.is(found.inodes, anew.inodes, change);
  for (const number of anew.tree.manifest.index.pages.keys()) {
    t.deepEqual(await found.tree.table(number), await anew.tree.table(number), change);
    t.deepEqual(await found.tree.manifest.page(number), await anew.tree.manifest.page(number), change);
  }
  return found;
}

test('what is found of a volume is the same with what was known of it and without', async t => {
  const volume = makeVolume(t);
  const change = (script: string): void => {
    volume.mounted(root => {
      shell(root, script);
    });
  };
  change(MAKE);
  let { tree } = await scanned(t, volume.device);
  const count = tree.manifest.index.pages.length;
  t.true(count > 5);
  for (const script of CHANGES) {
    change(script);
    const found = await sameAsAnew(t, volume.device, tree, script);
    // Nothing but the pages of what was touched, and of the directory around it, is looked at again.
    if (script === 'true') t.is(found.kept, count);
    else t.true(found.kept! >= 1 && found.kept! < found.tree.manifest.index.pages.length, script);
    tree = found.tree;
  }
});

test('of pages whose first entry goes, or gets one before it, the same is found', async t => {
  const volume = makeVolume(t);
  volume.mounted(root => {
    shell(root, MAKE);
  });
  let { tree } = await scanned(t, volume.device);
  const firsts = tree.manifest.index.pages
    .map(({ first }) => first.toString())
    .filter(first => first.includes('/file'));
  t.true(firsts.length > 3);
  for (const [at, first] of firsts.entries()) {
    const script = at % 2 === 0 ? `rm ${first}` : `touch ${first.replace('/file', '/fiL')}`;
    volume.mounted(root => {
      shell(root, script);
    });
    ({ tree } = await sameAsAnew(t, volume.device, tree, script));
  }
});

test('directories whose blocks are told of in blocks of their own are read', async t => {
  const volume = makeVolume(t);
  volume.mounted(root => {
    shell(root, INTERLEAVED);
  });
  t.regex(run('debugfs', '-R', 'dump_extents /left', volume.device), /^ *1\/ *1/m);
  const { tree } = await scanned(t, volume.device);
  t.is(tree.manifest.index.entries, 1 + 2 + 400);
});

test('of a file system that only the kernel understands the same is found', async t => {
  const volume = makeVolume(t, { features: ',inline_data' });
  const change = (script: string): void => {
    volume.mounted(root => {
      shell(root, script);
    });
  };
  change(MAKE);
  t.true(await isRefused(volume.device));
  const { tree } = await scanned(t, volume.device, undefined, true);
  change('echo more >> a/file-with-a-name-0001');
  const [found, anew] = [
    await scanned(t, volume.device, tree, true),
    await scanned(t, volume.device, undefined, true),
  ];
  t.true(found.tree.digest.equals(anew.tree.digest));
  t.false(found.tree.digest.equals(tree.digest));
});

test('a scan of the device itself is refused where metadata does not match its checksum', async t => {
  const volume = makeVolume(t);
  volume.mounted(root => {
    shell(root, 'mkdir directory; touch directory/file');
  });
  const ask = (question: string): string => run('debugfs', '-R', question, volume.device);
  const block = Number(/\(0\):(\d+)/.exec(ask('stat /directory'))![1]) * 4096;
  const [, table, within] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(ask('imap /directory'))!;
  const inode = Number(table) * 4096 + Number(within);
  t.false(await isRefused(volume.device));
  for (const offset of [1024 + 0x78, 4096, inode, block + 32]) {
    flipBit(volume.device, offset);
    t.true(await isRefused(volume.device), String(offset));
    flipBit(volume.device, offset);
  }
  t.false(await isRefused(volume.device));
});

function flipBit(device: string, offset: number): void {
  const descriptor = openSync(device, 'r+');
  const byte = Buffer.alloc(1);
  readSync(descriptor, byte, 0, 1, offset);
  byte[0]! ^= 1;
  writeSync(descriptor, byte, 0, 1, offset);
  fsyncSync(descriptor);
  closeSync(descriptor);
}
