import type { ExecutionContext } from 'ava';
import test from 'ava';
import { openDevice } from '../../src/volume/device.js';
import { keptPages } from '../../src/volume/kept-pages.js';
import type { KnownTree } from '../../src/volume/known-tree.js';
import { withMount } from '../../src/volume/mounted.js';
import { scanVolume } from '../../src/volume/scan-volume.js';
import { scanTree } from '../../src/native.js';
import { makeVolume, shell } from './ext4-fixture.js';

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
  mkfifo e/pipe; mknod e/null c 1 3
  chown 70000:3000000000 f
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

async function scanned(path: string, known?: KnownTree) {
  const device = await openDevice(path, { write: false });
  try {
    return await withMount(device, false, async root => {
      const kept = known && (await keptPages(await scanTree(root, false, {}), known, {})).length;
      return { kept, ...(await scanVolume(root, { known }, {})) };
    });
  } finally {
    await device.file.close();
  }
}

async function sameAsAnew(t: ExecutionContext, path: string, known: KnownTree, change: string) {
  const [found, anew] = [await scanned(path, known), await scanned(path)];
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
  let { tree } = await scanned(volume.device);
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
  let { tree } = await scanned(volume.device);
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
