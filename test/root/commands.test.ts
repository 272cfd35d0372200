import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { attach, run, shell, temporaryDirectory } from './ext4-fixture.js';

/*
 * The commands as people call them: content becomes an image, the image a volume, the volume a disk.
 */

const NASTY = `
  umask 022
  mkdir -p etc usr/bin srv/app/odd dev empty "deep/$(printf 'd/%.0s' {1..40})"
  echo one > etc/hosts; echo two > etc/motd; chmod 600 etc/motd
  ln -s ../etc/hosts usr/hosts; ln etc/hosts usr/hosts-again; ln etc/hosts srv/third
  cp /bin/true usr/bin/tool; chmod 4755 usr/bin/tool; setcap cap_net_bind_service=+ep usr/bin/tool
  mknod dev/null c 1 3; mknod dev/disk b 259 70000; mkfifo dev/pipe
  truncate -s 64M srv/sparse; dd if=/dev/urandom of=srv/sparse bs=4096 seek=500 count=3 conv=notrunc status=none
  printf x > srv/app/odd/$'new\\nline'; printf y > srv/app/odd/$'\\xff\\xfe'; printf z > "srv/app/odd/$(printf 'n%.0s' {1..255})"
  setfacl -m u:33:r,g:50:rwx etc/hosts; setfacl -d -m u:33:rx etc
  setfattr -n user.note -v 0x00ff10 etc/motd; setfattr -n trusted.t -v deep srv
  chown 3000000000:65537 srv/app; chmod 1777 empty; chmod 2755 srv
  touch -h -d '1960-01-01 00:00:00.123456789 UTC' usr/hosts; touch -d '2100-05-05 05:05:05.000000001 UTC' etc/motd
  dd if=/dev/urandom of=srv/big bs=1M count=3 status=none
`;

const REVISION = `
  echo three > etc/hosts.new; mv etc/hosts.new etc/hosts
  dd if=/dev/urandom of=srv/big bs=4096 seek=100 count=2 conv=notrunc status=none
  rm -r deep; mkdir -p deep; ln srv/third deep/fourth; rm dev/pipe; mkdir dev/pipe
  mv srv/app srv/moved; setcap -r usr/bin/tool
`;

class Workshop {
  readonly t: ExecutionContext;
  readonly directory: string;
  readonly device: string;
  readonly file: string;

  constructor(t: ExecutionContext, size = 256 << 20) {
    this.t = t;
    this.directory = temporaryDirectory(t);
    this.file = join(this.directory, 'device');
    writeFileSync(this.file, '');
    truncateSync(this.file, size);
    this.device = attach(t, this.file);
  }

  /** Runs a command; returns how it ended. */
  call(program: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const places = ['--store', join(this.directory, 'store')];
    if (program === 'image-unpacker')
      places.push('--state-dir', join(this.directory, 'state'), '--device', this.device);
    const { status, stdout, stderr } = spawnSync(`bin/${program}`, [...args, ...places], {
      encoding: 'utf8',
    });
    return { status, stdout, stderr };
  }

  /** Runs a command with --json that must succeed; returns its result. */
  json(program: string, ...args: string[]): Record<string, unknown> {
    const { status, stdout, stderr } = this.call(program, ...args, '--json');
    this.t.is(status, 0, stdout + stderr);
    return JSON.parse(stdout) as Record<string, unknown>;
  }
}

test('a nasty tree becomes an image, a volume, a disk and a tree again, there and back', t => {
  const shop = new Workshop(t);
  const tree = join(shop.directory, 'tree');
  run('mkdir', tree);
  shell(tree, NASTY);
  const first = shop.json('imagetool', 'build', 'os/nasty/1', '--from', tree, '--mtimes-from', 'none');
  shell(tree, REVISION);
  const second = shop.json('imagetool', 'build', 'os/nasty/2', '--from', tree, '--mtimes-from', 'none');
  t.not(first['digest'], second['digest']);
  for (const [name, flags] of [
    ['1', ['--format']],
    ['2', []],
    ['1', []],
    ['2', []],
  ] as const) {
    const applied = shop.json(
      'image-unpacker',
      'apply',
      '--image',
      `os/nasty/${name}`,
      '--layout',
      'whole',
      ...flags,
    );
    t.is(applied['scan'], 'none');
    const checked = shop.json('image-unpacker', 'check', '--image', `os/nasty/${name}`);
    t.deepEqual(checked, { image: `os/nasty/${name}`, identical: true, differences: [], generated: [] });
  }
  const out = join(shop.directory, 'extracted');
  shop.json('imagetool', 'extract', 'os/nasty/2', out);
  const again = shop.json('imagetool', 'build', 'os/nasty/3', '--from', out, '--mtimes-from', 'none');
  t.is(again['digest'], second['digest']);
  t.is(again['newObjects'], 0);
});

test('the disk of a clean volume is captured, with its map', t => {
  const shop = new Workshop(t);
  const tree = join(shop.directory, 'tree');
  run('mkdir', tree);
  shell(tree, NASTY);
  shop.json('imagetool', 'build', 'os/nasty/1', '--from', tree);
  shop.json('image-unpacker', 'apply', '--image', 'os/nasty/1', '--layout', 'whole', '--format');
  const [out, map] = [join(shop.directory, 'disk'), join(shop.directory, 'map')];
  const capture = (...more: string[]): ReturnType<typeof spawnSync> => {
    const where = ['--device', shop.device, '--state-dir', join(shop.directory, 'state'), '--out', out];
    return spawnSync('bin/image-unpacker', ['capture', ...where, '--json', ...more], { encoding: 'utf8' });
  };
  const { status, stdout } = capture('--map', map);
  t.is(status, 0);
  const result = JSON.parse(String(stdout)) as { digest: string; size: number; usedBlocks: number };
  t.is(statSync(out).size, 256 << 20);
  run('e2fsck', '-fn', out);
  // The digest as anybody can compute it from the file alone.
  const disk = readFileSync(out);
  const total = createHash('sha256');
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(disk.length));
  total.update(size);
  for (let at = 0; at < disk.length; at += 524_288) {
    total.update(
      createHash('sha256')
        .update(disk.subarray(at, at + 524_288))
        .digest(),
    );
  }
  t.is(result.digest, total.digest('hex'));
  const unchanged = JSON.parse(String(capture('--parent-map', map).stdout)) as { changedBlocks: number };
  t.is(unchanged.changedBlocks, 0);
  // Somebody else's write makes the volume doubtful.
  run('debugfs', '-w', '-R', 'mkdir /intruder', shop.device);
  const refused = capture();
  t.is(refused.status, 1);
  t.regex(String(refused.stdout), /VOLUME_DOUBTFUL/);
});

test('bad input gets its error and its exit code', t => {
  const shop = new Workshop(t);
  const expect = (exit: number, code: string, program: string, ...args: string[]): void => {
    const { status, stdout } = shop.call(program, ...args, '--json');
    t.is(status, exit, stdout);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    t.is(error.code, code, error.message);
  };
  const tree = join(shop.directory, 'tree');
  run('mkdir', tree);
  writeFileSync(join(tree, 'a'), 'a');
  shop.json('imagetool', 'build', 'os/a/1', '--from', tree);
  for (const name of ['os/../1', 'os//1', '/os/1', 'os', 'os/.hidden', 'os/a/']) {
    expect(2, 'IMAGE_NAME', 'imagetool', 'build', name, '--from', tree);
  }
  expect(1, 'IMAGE_EXISTS', 'imagetool', 'build', 'os/a/1', '--from', tree);
  expect(1, 'SOURCE_MISSING', 'imagetool', 'build', 'os/a/2', '--from', join(tree, 'none'));
  expect(1, 'SOURCE_DAMAGED', 'imagetool', 'build', 'os/a/2', '--from', join(tree, 'a'));
  expect(1, 'IMAGE_UNKNOWN', 'image-unpacker', 'apply', '--image', 'os/a/9');
  expect(1, 'DEVICE_BLANK', 'image-unpacker', 'apply', '--image', 'os/a/1', '--layout', 'whole');
  expect(2, 'USAGE', 'image-unpacker', 'apply', '--imgae', 'os/a/1');
  expect(2, 'USAGE', 'image-unpacker', 'aply');
});

test('an interrupt leaves no mount, process or half-done image behind, and the next run carries on', async t => {
  const shop = new Workshop(t, 512 << 20);
  const tree = join(shop.directory, 'tree');
  run('mkdir', tree);
  shell(tree, 'for i in $(seq 120); do dd if=/dev/urandom of=f$i bs=1M count=2 status=none; done');
  const [store, state] = [join(shop.directory, 'store'), join(shop.directory, 'state')];
  const build = ['build', 'os/big/1', '--from', tree, '--store', store];
  t.is(
    await interruptedWhen(() => find(join(store, 'objects'), /^[0-9a-f]{128}$/), 'bin/imagetool', build),
    130,
  );
  t.deepEqual(JSON.parse(shop.call('imagetool', 'list', '--json').stdout), []);
  shop.json('imagetool', 'build', 'os/big/1', '--from', tree);
  const apply = ['apply', '--image', 'os/big/1', '--layout', 'whole', '--format'];
  const places = ['--store', store, '--state-dir', state, '--device', shop.device];
  const begun = (): boolean => find(state, /^journal$/);
  t.is(await interruptedWhen(begun, 'bin/image-unpacker', [...apply, ...places]), 130);
  t.false(mountedDevices().includes(shop.device));
  t.is(shop.json('image-unpacker', ...apply)['scan'], 'repair');
  t.is(shop.call('image-unpacker', 'check', '--image', 'os/big/1').status, 0);
});

/** Runs a program, interrupts it as soon as `begun` says that its work has, and resolves to its exit code. */
async function interruptedWhen(
  begun: () => boolean,
  program: string,
  args: string[],
): Promise<number | null> {
  const child = spawn(program, args, { stdio: 'ignore' });
  const ended = new Promise<number | null>(resolve => child.on('close', resolve));
  while (child.exitCode === null && !begun()) await sleep(2);
  child.kill('SIGINT');
  return ended;
}

/** Whether there is a file of that name anywhere below a directory. */
function find(directory: string, name: RegExp): boolean {
  try {
    return readdirSync(directory, { recursive: true }).some(path => name.test(basename(String(path))));
  } catch {
    return false;
  }
}

/** Devices that any process has mounted. */
function mountedDevices(): string[] {
  const tables = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => {
      try {
        readlinkSync(`/proc/${name}/exe`);
        return readFileSync(`/proc/${name}/mountinfo`, 'utf8');
      } catch {
        return '';
      }
    });
  return tables.flatMap(table => table.split('\n').map(line => line.split(' - ')[1]?.split(' ')[1] ?? ''));
}
