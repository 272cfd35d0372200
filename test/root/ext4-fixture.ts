import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** An ext4 file system of our kind on a loop device, gone when the test ends. */
export interface Fixture {
  directory: string;
  image: string;
  device: string;
  /** Runs `work` with the volume mounted, then unmounts it. */
  mounted<T>(work: (root: string) => T, options?: string): T;
}

/** Runs a command to its end; throws unless it succeeds. */
export function run(command: string, ...parameters: string[]): string {
  return execFileSync(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

/** Runs a script that stops at its first failure, in `directory`. */
export function shell(directory: string, script: string, environment: Record<string, string> = {}): void {
  execFileSync('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
}

/** Attaches a file to a loop device until the test ends. */
export function attach(t: ExecutionContext, file: string): string {
  const device = run('losetup', '-f', '--show', file).trim();
  t.teardown(() => run('losetup', '-d', device));
  return device;
}

/** Makes a directory that is removed when the test ends. */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ext4-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Makes a volume of `size` bytes (128 MiB), on a device that is full of `filling` or of zeros. */
export function makeVolume(
  t: ExecutionContext,
  { size = 128 << 20, filling, features = '' }: { size?: number; filling?: Buffer; features?: string } = {},
): Fixture {
  const directory = temporaryDirectory(t);
  const image = join(directory, 'volume');
  writeFileSync(image, filling ?? '');
  truncateSync(image, size);
  const uuid = '5e3c0d7a-5f5b-4e0c-9d57-0123456789ab';
  const create = ['-q', '-F', '-t', 'ext4', '-b', '4096', '-J', 'size=4', '-m', '0', '-U', uuid];
  create.push('-O', `^orphan_file,^metadata_csum_seed${features}`, '-E', `nodiscard,hash_seed=${uuid}`);
  run('mke2fs', ...create, image);
  const device = attach(t, image);
  return {
    directory,
    image,
    device,
    mounted: (work, options) => mounted(t, directory, device, work, options),
  };
}

/** Mounts `device` until the test ends. */
export function mountUntilEnd(t: ExecutionContext, { directory, device }: Fixture): string {
  const root = join(directory, 'held');
  mkdirSync(root);
  run('mount', '-t', 'ext4', device, root);
  t.teardown(() => run('umount', root));
  run('mountpoint', '-q', root);
  return root;
}

/** Runs `work` with `device` mounted below `directory`, then unmounts it. */
export function mounted<T>(
  t: ExecutionContext,
  directory: string,
  device: string,
  work: (root: string) => T,
  options = 'noatime',
): T {
  const root = join(directory, 'root');
  mkdirSync(root, { recursive: true });
  run('mount', '-t', 'ext4', '-o', options, device, root);
  try {
    run('mountpoint', '-q', root);
    return work(root);
  } finally {
    run('umount', root);
  }
}

/** Fills a directory with one of everything that is hard to get right. */
export function makeNastyTree(root: string): void {
  shell(root, NASTY);
}

const NASTY = `
long() { printf "%0$2d" 0 | tr 0 "$1"; }
mkdir -p plain 'sp ace' "$(long n 255)" a a.b a-b deep/deeper/deepest
printf 'hello' > plain/file; printf 'x' > a/one; printf 'y' > a.b/two; printf 'z' > a-b/three
: > plain/empty
head -c 4096 /dev/urandom > plain/block; head -c 4097 /dev/urandom > plain/block-and-one
head -c 3000000 /dev/urandom > plain/large
printf bytes > "plain/$(printf 'not\\xffutf8%%')"
printf newline > "plain/$(printf 'a\\nb')"
ln plain/file plain/second; ln plain/file a/third; ln plain/file zzz
mkfifo fifo; mknod block b 8 17; mknod large c 300 70000; mknod zero c 0 0
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
ln fifo fifo2; ln large large2
ln -s "$(long s 59)" short; ln -s "$(long m 60)" middle; ln -s "$(long l 4095)" longest
ln short short2
chmod 4755 plain/block; chmod 2750 a; chmod 1777 a.b
chown 70000:4000000000 plain/large; chown -h 65536:65537 short; chown 100000 fifo
setcap cap_net_raw+ep plain/large
setfattr -n user.small -v value plain/file; setfattr -n user.empty plain/file
setfattr -n user.filling -v "$(long f 3000)" plain/block
setfattr -n trusted.one -v 1 -- "$(long n 255)"; setfattr -n security.mine -v 0x00ff00 plain/block
setfattr -n user.filling -v "$(long g 2500)" plain; setfattr -h -n trusted.link -v of short
for name in one two three; do : > shared-$name; setfattr -n user.same -v "$(long q 900)" shared-$name; done
setfacl -m u:1234:rwx,g:99:r plain/file; setfacl -d -m u:4000000000:rx,g:5:w a; setfacl -m u:7:x a
touch -d '1907-03-02 01:02:03.123456789 UTC' plain/empty
touch -d '2040-05-06 07:08:09.987654321 UTC' plain/block
touch -d '2400-01-01 00:00:00.000000001 UTC' a-b/three
touch -h -d '1969-12-31 23:59:59.999999999 UTC' short
truncate -s 3T hole; truncate -s 5000 small-hole
printf data | dd of=hole bs=4096 seek=1000000 conv=notrunc status=none
printf data | dd of=holes bs=4096 seek=3 conv=notrunc status=none
printf data | dd of=holes bs=4096 seek=7 conv=notrunc status=none; truncate -s 50001 holes
fallocate -l 100000 unwritten; fallocate -l 100000 partly; printf data | dd of=partly bs=4096 seek=5 conv=notrunc status=none
printf kept > beyond; fallocate -n -l 200000 beyond; printf kept | dd of=beyond conv=notrunc status=none
python3 -c 'import os; f = os.open("fragments", os.O_CREAT | os.O_WRONLY)
for block in range(0, 902, 2): os.pwrite(f, b"block %d" % block, block * 4096)'
mkdir many; for number in $(seq 5000); do echo "many/$(printf %040d $number)"; done | xargs touch
find many -name '*[1-9]' -print0 | xargs -0 rm
mkdir some; for number in $(seq 300); do echo $number > some/$number-$(long d 100); done
chattr +i plain/block-and-one; chattr +a a-b/three; chattr +dAS plain/empty; chattr +D deep
touch -d '2001-02-03 04:05:06.7 UTC' deep/deeper plain
`;
