import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/*
 * The smallest Linux that boots from a disk: a kernel of Debian, busybox, and an initrd that finds the root by
 * PARTUUID. When it is up it checks its files, prints the result, and powers off.
 */

/** What it prints when it is up: the name of the image, and whether all files are what they were. */
export const MARKER = 'BOOTED-IMAGE';

/** Modules of the kernel that it takes to get at the root on NVMe and virtio. */
const MODULES = ['virtio_pci', 'virtio_blk', 'nvme', 'crc32c_generic', 'ext4'];

/** Waits for the partition whose id in the table is the one that the command line names. */
const INIT_OF_INITRD = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in ${MODULES.join(' ')}; do modprobe $module; done
wanted=$(sed -n 's/.*root=PARTUUID=\\([^ ]*\\).*/\\1/p' /proc/cmdline | tr -d - )
swap() { echo $1 | sed 's/\\(..\\)\\(..\\)\\(..\\)\\(..\\)\\(..\\)\\(..\\)\\(..\\)\\(..\\)/\\4\\3\\2\\1\\6\\5\\8\\7/'; }
wanted="$(swap \${wanted%????????????????})\${wanted#????????????????}"
for try in $(seq 100); do
  for disk in /sys/block/nvme* /sys/block/vd*; do
    [ -e $disk ] || continue
    disk=/dev/\${disk##*/}
    id=$(dd if=$disk bs=16 skip=81 count=1 2>/dev/null | od -An -tx1 | tr -d ' \\n')
    [ "$id" = "$wanted" ] || continue
    for part in \${disk}p3 \${disk}3; do [ -b $part ] && mount -t ext4 -o ro $part /root && exec switch_root /root /sbin/init; done
  done
  sleep 0.1
done
echo "no root"; poweroff -f
`;

const INIT = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox mount -t proc proc /proc; /bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox sha512sum -c -s /digests && files=good || files=BAD
[ -d /sys/firmware/efi ] && firmware=uefi || firmware=bios
/bin/busybox grep -q ' / ext4 rw' /proc/mounts && root=rw || root=ro
echo "${MARKER} $(/bin/busybox cat /image-name) files=$files firmware=$firmware root=$root options=$(/bin/busybox sed 's/.*options=//' /proc/cmdline)" >/dev/console
/bin/busybox sleep 1
/bin/busybox poweroff -f
`;

/** Where the distributions put kernel and initrd. */
export type Family = 'debian' | 'rpm';

/** Packages that are unpacked, of which images are made. */
export interface SmallPackages {
  /** A kernel, and a busybox for it. */
  root: string;
  /** A busybox that runs on this machine. */
  busybox: string;
}

/** Makes the tree of an image of that name. */
export function makeSmallTree(
  tree: string,
  { root: packages, busybox: tool }: SmallPackages,
  name: string,
  family: Family,
): void {
  const busybox = join(packages, 'bin/busybox');
  const [kernel] = readdirSync(join(packages, 'boot')).filter(each => each.startsWith('vmlinuz-'));
  const version = kernel!.slice('vmlinuz-'.length);
  for (const path of ['bin', 'sbin', 'etc', 'proc', 'sys', 'dev', 'boot', 'boot/efi', 'usr/share/data']) {
    mkdirSync(join(tree, path), { recursive: true });
  }
  cpSync(busybox, join(tree, 'bin/busybox'));
  symlinkSync('busybox', join(tree, 'bin/sh'));
  write(tree, 'sbin/init', INIT, 0o755);
  write(tree, 'image-name', `${name}\n`);
  write(
    tree,
    'etc/os-release',
    `ID=${family === 'rpm' ? 'fedora' : 'debian'}\nPRETTY_NAME="Small ${name}"\n`,
  );
  for (let number = 0; number < 50; number++)
    write(tree, `usr/share/data/${String(number)}`, `${name} ${String(number)}\n`.repeat(200));
  const initrd = family === 'rpm' ? `initramfs-${version}.img` : `initrd.img-${version}`;
  cpSync(join(packages, 'boot', kernel!), join(tree, 'boot', kernel!));
  writeFileSync(join(tree, 'boot', initrd), makeInitrd(packages, version, tool));
  const options = `panic=10 options=${name}`;
  if (family === 'debian') write(tree, 'etc/kernel/cmdline', `root=UUID=of-the-builder ro ${options}\n`);
  else {
    write(
      tree,
      `boot/loader/entries/0123456789abcdef0123456789abcdef-${version}.conf`,
      `title Small ${name}\nversion ${version}\nlinux /${kernel!}\ninitrd /${initrd} $tuned_initrd\noptions root=UUID=of-the-builder ro $kernelopts ${options}\n`,
    );
    write(tree, 'boot/grub2/grubenv', '# GRUB Environment Block\n');
    write(tree, 'boot/grub2/grub.cfg', 'set timeout=5\nblscfg\n');
  }
  const files = execFileSync('find', ['.', '-type', 'f', '!', '-name', 'digests'], { cwd: tree }).toString();
  const digests = execFileSync('xargs', ['sha512sum'], { cwd: tree, input: files }).toString();
  write(tree, 'digests', digests.replaceAll('  ./', '  /'));
}

function makeInitrd(packages: string, version: string, tool: string): Buffer {
  const root = join(packages, '..', 'initrd');
  if (readdirSync(dirname(root)).includes(basename(root)))
    return readFileSync(join(root, '..', 'initrd.cpio'));
  for (const path of ['bin', 'proc', 'sys', 'dev', 'root', `lib/modules/${version}`]) {
    mkdirSync(join(root, path), { recursive: true });
  }
  const modules = join(packages, 'lib/modules', version);
  execFileSync(tool, ['depmod', '-b', packages, version], { stdio: ['ignore', 'ignore', 'pipe'] });
  const dependencies = readFileSync(join(modules, 'modules.dep'), 'utf8');
  for (const path of closure(dependencies)) {
    mkdirSync(dirname(join(root, 'lib/modules', version, path)), { recursive: true });
    cpSync(join(modules, path), join(root, 'lib/modules', version, path));
  }
  execFileSync(tool, ['depmod', '-b', root, version], { stdio: ['ignore', 'ignore', 'pipe'] });
  cpSync(join(packages, 'bin/busybox'), join(root, 'bin/busybox'));
  write(root, 'init', INIT_OF_INITRD, 0o755);
  const names = execFileSync('find', ['.'], { cwd: root });
  const archive = execFileSync(tool, ['cpio', '-o', '-H', 'newc'], {
    cwd: root,
    input: names,
    maxBuffer: 1 << 28,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  writeFileSync(join(root, '..', 'initrd.cpio'), archive);
  return archive;
}

/** The files of the modules that are wanted and of those that they need, by the lines `file: needed …`. */
function closure(dependencies: string): string[] {
  const needs = new Map(
    dependencies
      .split('\n')
      .filter(line => line.includes(':'))
      .map(line => [
        line.slice(0, line.indexOf(':')),
        line
          .slice(line.indexOf(':') + 1)
          .split(' ')
          .filter(each => each !== ''),
      ]),
  );
  const nameOf = (path: string): string => basename(path, '.ko').replaceAll('-', '_');
  const found = new Set([...needs.keys()].filter(path => MODULES.includes(nameOf(path))));
  for (const path of found) for (const needed of needs.get(path) ?? []) found.add(needed);
  return [...found];
}

function write(tree: string, path: string, content: string, mode = 0o644): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content, { mode });
}
