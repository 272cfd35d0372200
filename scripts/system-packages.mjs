import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/*
 * What the tests and the build need of the system, by the names of each family of distributions.
 */
const FAMILIES = [
  {
    ids: ['debian', 'ubuntu'],
    packages:
      'e2fsprogs util-linux fdisk dosfstools mtools grub-common grub-pc-bin grub-efi-amd64-bin openssl xz-utils zstd tar libarchive-tools acl attr libcap2-bin rsync fuse3 libfuse3-dev qemu-utils xfsprogs zsh fish groff-base umoci skopeo systemd-container busybox rpm sqlite3 python3 g++ make',
    boot: 'qemu-system-x86 ovmf seabios qemu-system-arm qemu-efi-aarch64 mmdebstrap debian-archive-keyring',
    // Programs of tests that are in none of the packages.
    unpackaged: [],
    isInstalled: name => outputOf('dpkg-query', ['-W', '-f=${db:Status-Status}', name]) === 'installed',
    // Without lists of packages, or with old ones, an installation fails; then they are fetched.
    install: names =>
      runs('apt-get', aptInstall(names)) ||
      (runs('apt-get', APT_UPDATE) && runs('apt-get', aptInstall(names))),
    line: names => `apt-get update && apt-get install -y ${names.join(' ')}`,
  },
  {
    ids: ['amzn', 'fedora', 'rhel', 'centos'],
    packages:
      'e2fsprogs util-linux dosfstools mtools grub2-tools grub2-pc-modules openssl xz zstd tar bsdtar acl attr libcap rsync fuse3 fuse3-devel xfsprogs zsh groff-base systemd-container rpm-build sqlite python3 gcc-c++ make',
    boot: 'qemu-system-x86-core edk2-ovmf',
    unpackaged: ['busybox', 'fish', 'qemu-img', 'skopeo', 'umoci'],
    isInstalled: name => outputOf('rpm', ['-q', name]) !== undefined,
    install: names => runs('dnf', ['install', '-y', ...names]),
    line: names => `dnf install -y ${names.join(' ')}`,
  },
];

// Another installation may be going on; it is waited for, but not for ever.
const APT = ['-q', '-o', 'DPkg::Lock::Timeout=120'];
const APT_UPDATE = [...APT, 'update'];
const aptInstall = names => [...APT, 'install', '-y', '--no-install-recommends', ...names];

/**
 * Installs the system packages that are missing; with `boot`, those as well that it takes to boot disks. Who is not root, or on a system that is not known here,
 * is told what to do, and so is root when it fails; the tests that need them then say so themselves.
 */
export function installSystemPackages({ boot = false } = {}) {
  const family = familyHere();
  if (family === undefined) {
    console.log(`This distribution is not known. The tests need what Debian calls: ${FAMILIES[0].packages}`);
    return;
  }
  const wanted = boot ? `${family.packages} ${family.boot}` : family.packages;
  const missing = wanted.split(' ').filter(name => !family.isInstalled(name));
  if (missing.length === 0) return;
  if (process.getuid() === 0 && family.install(missing)) return;
  console.log(`MISSING: ${missing.join(', ')}. Run as root: ${family.line(missing)}`);
}

/** The programs that tests use and `installSystemPackages` cannot install on this distribution. */
export function unpackagedPrograms() {
  return familyHere()?.unpackaged ?? [];
}

function familyHere() {
  return familyOf(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '');
}

function familyOf(osRelease) {
  const ids = [...osRelease.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(match => match[1].split(' '));
  return FAMILIES.find(family => family.ids.some(id => ids.includes(id)));
}

function outputOf(program, parameters) {
  const { status, stdout } = spawnSync(program, parameters, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return status === 0 ? stdout : undefined;
}

function runs(program, parameters) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(program, parameters, { env, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}
