import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { decodeDiskMap, diskDigest } from '../../src/image/disk-map.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import { captureVolume } from '../../src/volume/capture.js';
import { checkVolume } from '../../src/volume/check.js';
import {
  attach,
  makeNastyTree,
  makeVolume,
  mounted,
  mountUntilEnd,
  run,
  shell,
  temporaryDirectory,
  type Fixture,
} from './ext4-fixture.js';
import { kernelView } from './kernel-view.js';

/** Whether a volume may be captured is decided elsewhere. */
const guard = (): Promise<object> => Promise.resolve({});

const BLOCK = 524_288;

interface Captured {
  out: string;
  map: string;
  digest: string;
  usedBlocks: number;
  changedBlocks: number;
  blocks: number;
  size: number;
}

async function capture(fixture: Fixture, name: string, parentMap?: string): Promise<Captured> {
  const [out, map] = [join(fixture.directory, name), join(fixture.directory, `${name}.map`)];
  return { out, map, ...(await captureVolume({ device: fixture.device, out, map, parentMap, guard })) };
}

/** The names in a directory that capturing made. */
function leftIn(directory: string): string[] {
  return readdirSync(directory).filter(name => name !== 'volume' && name !== 'root' && name !== 'held');
}

test('a captured disk is sound and holds the same tree, for the kernel and for check', async t => {
  const fixture = makeVolume(t);
  fixture.mounted(makeNastyTree);
  const wanted = fixture.mounted(kernelView, 'ro');
  const { out, size } = await capture(fixture, 'disk');
  t.is(size, 128 << 20);
  t.is(statSync(out).size, size);
  t.true(statSync(out).blocks * 512 < size / 4);
  run('e2fsck', '-fn', out);
  const device = attach(t, out);
  t.deepEqual((await checkVolume({ device, wanted })).differences, []);
  t.deepEqual(mounted(t, fixture.directory, device, kernelView), wanted);
});

test('two captures are equal, and so is the capture of a captured disk', async t => {
  const fixture = makeVolume(t);
  fixture.mounted(makeNastyTree);
  const first = await capture(fixture, 'first');
  const second = await capture(fixture, 'second');
  const again = await capture({ ...fixture, device: attach(t, first.out) }, 'again');
  t.is(first.digest, second.digest);
  t.is(first.digest, again.digest);
  t.true(readFileSync(first.out).equals(readFileSync(second.out)));
  t.true(readFileSync(first.out).equals(readFileSync(again.out)));
  t.true(readFileSync(first.map).equals(readFileSync(second.map)));
});

/** The digests of a disk, and of each of its blocks, as the design defines them. */
function digestsOf(disk: Buffer): { digest: string; blocks: Buffer[] } {
  const blocks: Buffer[] = [];
  for (let at = 0; at < disk.length; at += BLOCK) {
    const block = Buffer.alloc(BLOCK);
    disk.copy(block, 0, at, at + BLOCK);
    blocks.push(createHash('sha256').update(block).digest());
  }
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(disk.length));
  const digest = createHash('sha256')
    .update(Buffer.concat([size, ...blocks]))
    .digest('hex');
  return { digest, blocks };
}

test('digest, counts and map are those of the file, whatever its size', async t => {
  const zeros = createHash('sha256').update(Buffer.alloc(BLOCK)).digest();
  for (const size of [64 << 20, (64 << 20) + 4096, (70 << 20) + 512 * 3]) {
    const fixture = makeVolume(t, { size });
    fixture.mounted(root => {
      writeFileSync(join(root, 'file'), randomBytes(2_000_000));
    });
    const before = await capture(fixture, 'before');
    fixture.mounted(root => {
      writeFileSync(join(root, 'other'), randomBytes(700_000));
    });
    const after = await capture(fixture, 'after', before.map);
    const [old, expected] = [digestsOf(readFileSync(before.out)), digestsOf(readFileSync(after.out))];
    t.is(after.digest, expected.digest);
    t.is(diskDigest(decodeDiskMap(readFileSync(after.map))).toString('hex'), expected.digest);
    t.is(after.size, Math.floor(size / 512) * 512);
    t.is(after.blocks, expected.blocks.length);
    t.is(after.usedBlocks, expected.blocks.filter(block => !block.equals(zeros)).length);
    t.is(
      after.changedBlocks,
      expected.blocks.filter((block, index) => !block.equals(old.blocks[index]!)).length,
    );
    t.is(before.changedBlocks, before.usedBlocks);
    t.true(after.changedBlocks > 1 && after.changedBlocks < after.usedBlocks);
  }
});

/** Text that is found nowhere else, and where it was put. */
function makeSecrets(...places: string[]): Map<string, string> {
  return new Map(places.map(place => [place, `${place}-${randomBytes(12).toString('hex')}`]));
}

/** Fails unless the device holds every secret and the captured disk none, nor any name of the place. */
async function assertGone(
  t: ExecutionContext,
  fixture: Fixture,
  secrets: ReadonlyMap<string, string>,
): Promise<void> {
  run('blockdev', '--flushbufs', fixture.device);
  const raw = readFileSync(fixture.image);
  const { out } = await capture(fixture, 'disk');
  const disk = readFileSync(out);
  for (const [place, secret] of secrets) {
    t.true(raw.includes(secret), `the device holds ${place}`);
    t.false(disk.includes(secret), `the disk holds ${place}`);
  }
  run('e2fsck', '-fn', out);
}

/** Without the journal, what is deleted stays behind in its own place and nowhere else. */
const IN_PLACE = 'noatime,noload';

test('nothing that was deleted is in a captured disk', async t => {
  const fixture = makeVolume(t);
  const places = ['data', 'cut', 'name', 'hashed', 'target', 'freed'];
  const secrets = makeSecrets(...places);
  const environment = Object.fromEntries(secrets);
  const long = 'long() { printf "%s%0$2d" "$1" 0; }; ';
  fixture.mounted(root => {
    shell(
      root,
      `${long}
      mkdir linear hashed
      long "$data" 10000 > data; { head -c 8000 /dev/zero; printf "$cut"; } > cut
      for name in first "$name" last; do : > "linear/$name"; done
      for number in $(seq 400); do : > "hashed/$number-$hashed"; done
      for number in $(seq 400); do : > "hashed/$(long "$number" 100)"; done
      ln -s "$(long "$target" 200)" link
      : > gone; setfattr -n user.a -v "$freed" gone`,
      environment,
    );
  }, IN_PLACE);
  fixture.mounted(root => {
    shell(
      root,
      `rm data link gone; truncate -s 10 cut
      find hashed -name "*-$hashed" ! -name "200-*" -delete`,
      environment,
    );
  }, IN_PLACE);
  // Newer kernels wipe the names that they delete; older ones do as debugfs does.
  for (const path of [`linear/${secrets.get('name')!}`, `hashed/200-${secrets.get('hashed')!}`]) {
    run('debugfs', '-w', '-R', `rm ${path}`, fixture.device);
  }
  await assertGone(t, fixture, secrets);
});

test('nothing that passed through the journal is in a captured disk', async t => {
  const fixture = makeVolume(t);
  const secrets = makeSecrets('name', 'content', 'target');
  fixture.mounted(root => {
    shell(
      root,
      `for turn in $(seq 20); do
        : > "$name"; printf "$content" > file; ln -s "$target" link; sync -f .; rm "$name" file link; sync -f .
      done`,
      Object.fromEntries(secrets),
    );
  }, 'noatime,data=journal');
  await assertGone(t, fixture, secrets);
});

function writeAt(device: string, text: string, position: number): void {
  const descriptor = openSync(device, 'r+');
  try {
    writeSync(descriptor, text, position);
  } finally {
    closeSync(descriptor);
  }
}

test('what a file system leaves unwritten is not in a captured disk', async t => {
  const secrets = makeSecrets('filling');
  const size = 300 << 20;
  const filling = Buffer.alloc(size, `${secrets.get('filling')!} `);
  const fixture = makeVolume(t, { size, filling });
  fixture.mounted(root => {
    shell(
      root,
      'fallocate -l 20M unwritten; fallocate -l 1M partly; printf data > short; printf x >> partly',
    );
    writeFileSync(join(root, 'tail'), secrets.get('filling')!.padStart(4096));
  }, 'noatime,noinit_itable');
  run('debugfs', '-w', '-R', 'set_inode_field tail size 10', fixture.device);
  // Before the superblock, behind the last group descriptor, and behind the last bit of an inode bitmap.
  const bitmap = Number(/Inode bitmap at (\d+)/.exec(run('dumpe2fs', fixture.device))![1]);
  for (const position of [100, 8192 - 100, (bitmap + 1) * 4096 - 100]) {
    writeAt(fixture.device, secrets.get('filling')!, position);
  }
  const wanted = fixture.mounted(kernelView, 'ro');
  await assertGone(t, fixture, secrets);
  const device = attach(t, join(fixture.directory, 'disk'));
  t.deepEqual((await checkVolume({ device, wanted })).differences, []);
});

test('the slack of extent blocks and inodes is not in a captured disk', async t => {
  const fixture = makeVolume(t);
  fixture.mounted(root => {
    shell(
      root,
      `python3 -c 'import os
f = os.open("many", os.O_CREAT | os.O_WRONLY)
for block in range(0, 4000, 2): os.pwrite(f, b"x", block * 4096)
os.fsync(f)
g = os.open("few", os.O_CREAT | os.O_WRONLY)
for block in (0, 2, 4, 6): os.pwrite(g, b"x", block * 4096)'`,
    );
  }, IN_PLACE);
  const full = await capture(fixture, 'full');
  fixture.mounted(root => {
    shell(root, 'truncate -s 20000 few; truncate -s 800000 many');
  }, IN_PLACE);
  const wanted = fixture.mounted(kernelView, 'ro');
  const { out } = await capture(fixture, 'cut');
  run('e2fsck', '-fn', out);
  t.deepEqual((await checkVolume({ device: attach(t, out), wanted })).differences, []);
  t.not(full.digest, (await capture(fixture, 'again')).digest);
  for (const node of extentBlocks(readFileSync(out))) {
    const entries = node.readUInt16LE(2);
    t.true(node.subarray(12 + entries * 12, 4092).every(byte => byte === 0));
  }
});

/** The blocks of a disk that are nodes of extent trees. */
function extentBlocks(disk: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = 0; at < disk.length; at += 4096) {
    if (disk.readUInt16LE(at) === 0xf30a && disk.readUInt16LE(at + 4) === 340)
      blocks.push(disk.subarray(at, at + 4096));
  }
  return blocks;
}

const REFUSED: { name: string; prepare: (fixture: Fixture) => void; code: ImageUnpackerError['code'] }[] = [
  {
    name: 'a damaged directory',
    prepare: ({ device }) => run('debugfs', '-w', '-R', 'set_inode_field a size 5000', device),
    code: 'VOLUME_DAMAGED',
  },
  {
    name: 'a state that is not clean',
    prepare: ({ device }) => run('debugfs', '-w', '-R', 'set_super_value state 2', device),
    code: 'VOLUME_DOUBTFUL',
  },
  {
    name: 'a feature that is not known',
    prepare: ({ device }) => run('debugfs', '-w', '-R', 'feature casefold', device),
    code: 'UNSUPPORTED',
  },
  {
    name: 'no file system',
    prepare: ({ device }) => run('dd', 'if=/dev/zero', `of=${device}`, 'bs=1M', 'count=1', 'status=none'),
    code: 'DEVICE_FOREIGN',
  },
];

test('a volume that is not sound is refused, and nothing is written', async t => {
  for (const { name, prepare, code } of REFUSED) {
    const fixture = makeVolume(t, { size: 64 << 20 });
    fixture.mounted(makeSmallTree);
    prepare(fixture);
    const error = await t.throwsAsync(capture(fixture, 'disk'), { code }, name);
    t.true(error.message.includes(fixture.device), name);
    t.deepEqual(leftIn(fixture.directory), [], name);
  }
});

function makeSmallTree(root: string): void {
  shell(
    root,
    'mkdir a; for number in $(seq 100); do echo $number > a/file-$number-with-a-name-of-some-length; done',
  );
}

test('what the caller does not let pass is not captured', async t => {
  const fixture = makeVolume(t, { size: 64 << 20 });
  const { device, directory } = fixture;
  const refuse = (): Promise<never> => Promise.reject(new ImageUnpackerError('VOLUME_DOUBTFUL', 'No'));
  const refused = captureVolume({ device, out: join(directory, 'disk'), guard: refuse });
  await t.throwsAsync(refused, { code: 'VOLUME_DOUBTFUL' });
  t.deepEqual(leftIn(directory), []);
});

test('a mounted device is refused', async t => {
  const fixture = makeVolume(t, { size: 64 << 20 });
  mountUntilEnd(t, fixture);
  await t.throwsAsync(capture(fixture, 'disk'), { code: 'DEVICE_IN_USE' });
  t.deepEqual(leftIn(fixture.directory), []);
});

test('an output that cannot be written is an error, and nothing is left of it', async t => {
  const fixture = makeVolume(t, { size: 64 << 20 });
  const { device, directory } = fixture;
  mkdirSync(join(directory, 'taken'));
  for (const out of [
    join(directory, 'taken'),
    device,
    join(directory, 'missing', 'disk'),
    '/dev/null',
    '/proc/disk',
  ]) {
    await t.throwsAsync(captureVolume({ device, out, guard }), { code: 'OUTPUT' }, out);
  }
  const out = join(directory, 'disk');
  await t.throwsAsync(captureVolume({ device, out, map: join(directory, 'taken'), guard }), {
    code: 'OUTPUT',
  });
  t.deepEqual(leftIn(directory), ['taken']);
  t.deepEqual(readdirSync(join(directory, 'taken')), []);
  t.true(statSync('/dev/null').isCharacterDevice());
});

test('a full disk is an error, and nothing is left', async t => {
  const fixture = makeVolume(t, { size: 64 << 20 });
  fixture.mounted(root => {
    writeFileSync(join(root, 'file'), randomBytes(8 << 20));
  });
  const small = join(temporaryDirectory(t), 'small');
  mkdirSync(small);
  run('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small);
  t.teardown(() => run('umount', small));
  run('mountpoint', '-q', small);
  const options = { device: fixture.device, out: join(small, 'disk'), map: join(small, 'map') };
  await t.throwsAsync(captureVolume({ ...options, guard }), { code: 'NO_SPACE' });
  t.deepEqual(readdirSync(small), []);
});

test('a capture that is stopped leaves the file that was there', async t => {
  const fixture = makeVolume(t, { size: 64 << 20 });
  const out = join(fixture.directory, 'disk');
  writeFileSync(out, 'earlier');
  const controller = new AbortController();
  const step = {
    update: () => {
      controller.abort();
    },
    end: () => undefined,
  };
  const options = {
    device: fixture.device,
    out,
    signal: controller.signal,
    progress: { step: () => step },
  };
  await t.throwsAsync(captureVolume({ ...options, guard }), { code: 'CANCELLED' });
  t.is(readFileSync(out, 'utf8'), 'earlier');
  t.deepEqual(leftIn(fixture.directory), ['disk']);
});

test('a parent map that is missing or damaged is an error before anything is read', async t => {
  const fixture = makeVolume(t, { size: 64 << 20 });
  const parent = join(fixture.directory, 'parent');
  await t.throwsAsync(capture(fixture, 'disk', parent), { code: 'USAGE' });
  writeFileSync(parent, 'no map');
  await t.throwsAsync(capture(fixture, 'disk', parent), { code: 'STORE_DAMAGED' });
  t.false(existsSync(join(fixture.directory, 'disk')));
});
