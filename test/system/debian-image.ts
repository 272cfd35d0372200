import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/*
 * A Debian as mmdebstrap makes it, with systemd and an initrd of its own, that says over the serial line what it is
 * when it is up, and powers off.
 */

/** What it says, before its name and the result of the check. */
export const REPORT = 'DEBIAN-IS-UP';

const PACKAGES = 'linux-image-cloud-amd64,systemd-sysv,initramfs-tools,kmod,udev,e2fsprogs,zstd';
/** What an initrd needs to find this machine's disks; all that Debian has would take a minute to load. */
const INITRD_MODULES = 'ext4 jbd2 mbcache crc32c_generic virtio_pci virtio_blk nvme';
const NOT_NEEDED = ['/usr/share/doc/*', '/usr/share/locale/*', '/usr/share/man/*', '/usr/share/zoneinfo/*'];
/** What a system that is up has changed, or what is made when it is unpacked. */
const CHANGING = [
  './var/*',
  './etc/fstab',
  './etc/machine-id',
  './etc/hostname',
  './etc/resolv.conf',
  './etc/.*',
  './digests',
  './boot/grub/*',
];

const SERVICE = `[Unit]
Description=Say what this image is
After=local-fs.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/report
`;
const TARGET = `[Unit]
Description=The report is out
Requires=report.service basic.target
After=report.service
`;
const PROGRAM = `#!/bin/sh
files=unchecked
if grep -q check-files /proc/cmdline; then
  cd / && if sha1sum --check --quiet --strict /digests > /run/check 2>&1; then files=good; else files="BAD $(head -n 3 /run/check | tr '\\n' ' ')"; fi
fi
[ -d /sys/firmware/efi ] && firmware=uefi || firmware=bios
echo "${REPORT} $(cat /etc/image-name) root=$(findmnt -no SOURCE,FSTYPE,OPTIONS / | cut -d, -f1 | tr -s ' ' -) firmware=$firmware failed=$(systemctl --failed --no-legend --plain | wc -l) files=$files" > /dev/ttyS0
systemctl --no-block --force poweroff
`;

/** Why no Debian can be made here, or undefined when one can. */
export function debianFault(): string | undefined {
  return spawnSync('mmdebstrap', ['--version']).error === undefined
    ? undefined
    : 'mmdebstrap is not installed';
}

/** Makes a Debian in `tree`, which must not be there yet. */
export function makeDebian(tree: string): void {
  const early = [
    'mkdir -p "$1/etc/initramfs-tools/conf.d"',
    'printf "MODULES=list\\nCOMPRESS=gzip\\n" > "$1/etc/initramfs-tools/conf.d/small"',
    `echo "${INITRD_MODULES}" | tr " " "\\n" > "$1/etc/initramfs-tools/modules"`,
  ].join('; ');
  const excluded = NOT_NEEDED.map(path => `--dpkgopt=path-exclude=${path}`);
  const parameters = [
    '--quiet',
    '--variant=minbase',
    `--include=${PACKAGES}`,
    ...excluded,
    `--essential-hook=${early}`,
  ];
  execFileSync('mmdebstrap', [...parameters, 'bookworm', tree], { stdio: ['ignore', 'ignore', 'pipe'] });
  write(tree, 'etc/systemd/system/report.service', SERVICE);
  write(tree, 'etc/systemd/system/report.target', TARGET);
  write(tree, 'usr/local/sbin/report', PROGRAM);
  chmodSync(join(tree, 'usr/local/sbin/report'), 0o755);
  symlinkSync('report.target', join(tree, 'etc/systemd/system/default.target'));
}

/** Gives the image a name, and notes what its files are. */
export function nameDebian(tree: string, name: string): void {
  write(tree, 'etc/image-name', `${name}\n`);
  const except = CHANGING.flatMap(path => ['!', '-path', path]);
  const files = execFileSync('find', ['.', '-xdev', '-type', 'f', ...except, '-print0'], {
    cwd: tree,
    maxBuffer: 1 << 28,
  });
  const digests = execFileSync('xargs', ['-0', 'sha1sum'], { cwd: tree, input: files, maxBuffer: 1 << 28 });
  writeFileSync(join(tree, 'digests'), digests);
}

function write(tree: string, path: string, content: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content);
}
