import { appendFile, chmod, link, mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted } from '../../src/image/error.js';
import { isInstalled, runCommand } from '../run-command.js';
import { Random } from './random.js';
import { settleTimes, updateTree } from './update-tree.js';

/** What a server is made of: packages of Debian, or synthetic ones that are made from a seed. */
export interface ServerKind {
  packages: string;
  seed: string;
}

const PACKAGES = [
  'systemd-sysv,udev,dbus,openssh-server,sudo,rsyslog,chrony,cron,logrotate,man-db,locales,ca-certificates',
  'linux-image-cloud-amd64,initramfs-tools,iputils-ping,tcpdump,strace,tmux,jq,less,vim,git,curl,acl,attr',
  'nginx,postgresql-15,redis-server,php8.2-cli,openjdk-17-jre-headless,python3-pip,python3-venv,build-essential',
].join();
/** The server that this project was tuned to, and one of other packages. */
export const SERVERS: Readonly<Record<'web' | 'other', ServerKind>> = {
  web: { packages: PACKAGES, seed: '' },
  other: {
    packages:
      'systemd-sysv,udev,dbus,openssh-server,apache2,mariadb-server,bind9,samba,ruby,nodejs,golang-go,r-base-core,ffmpeg,imagemagick,subversion,emacs-nox,fonts-dejavu',
    seed: ' of other packages',
  },
};
const EDITED = ['etc/hosts', 'etc/hostname', 'etc/fstab', 'etc/motd', 'etc/profile', 'etc/passwd'];
/** Times when the trees were made and updated, in seconds since 1970. */
const MADE = 1_700_000_000;
const UPDATED = 1_702_000_000;
/** So much is new in a month of a distribution's updates. */
const UPDATED_PART = 1 / 15;
/** So much in a day, when there is a revision every day. */
const REVISED_PART = 1 / 60;

/** Makes the tree of a server: of Debian, when that can be had and is wanted. Returns what it is. */
export async function makeServer(
  root: string,
  { packages, seed }: ServerKind,
  { synthetic, signal }: { synthetic: boolean; signal: AbortSignal },
): Promise<string> {
  const debian = !synthetic && (await isInstalled('mmdebstrap'));
  await mkdir(root, { mode: 0o755 });
  if (debian) {
    const words = [
      'mmdebstrap',
      '--mode=root',
      '--variant=minbase',
      `--include=${packages}`,
      'bookworm',
      root,
    ];
    const mirror = process.env['BENCH_MIRROR'];
    await runCommand(mirror === undefined ? words : [...words, mirror], { signal });
  } else await makePackages(root, seed, signal);
  await addOddities(join(root, 'srv'));
  await settleTimes(root, MADE, MADE);
  return debian ? 'a Debian server' : 'a synthetic server, smaller than a real one';
}

/** Updates a server's packages. */
export async function updateServer(root: string, { seed }: ServerKind, signal: AbortSignal): Promise<void> {
  const random = new Random(`update${seed}`);
  await updateTree(join(root, 'usr'), { part: UPDATED_PART, together: 30, time: UPDATED, random, signal });
}

/** Edits six files of a server's configuration. */
export async function editServer(root: string): Promise<void> {
  for (const name of EDITED) await appendFile(join(root, name), '# edited\n');
}

/** Directories of files, with links among them, and configuration. */
async function makePackages(root: string, seed: string, signal: AbortSignal): Promise<void> {
  const random = new Random(`server${seed}`);
  await mkdir(join(root, 'srv'));
  for (let number = 0; number < 400; number++) {
    throwIfAborted(signal);
    const section = ['bin', 'lib', 'share', 'share/doc'][random.below(4)]!;
    const directory = join(root, 'usr', section, `package-${String(number)}`);
    await mkdir(directory, { recursive: true });
    for (let file = 0; file < 20; file++) {
      await writeFile(join(directory, `file-${String(file)}`), random.bytes(random.size(100, 300_000)));
    }
    await symlink('file-0', join(directory, 'current'));
    if (number % 10 === 0) await link(join(directory, 'file-1'), join(directory, 'same-as-1'));
  }
  await mkdir(join(root, 'etc'));
  for (const name of EDITED) await writeFile(join(root, name), `# ${name}\n`);
}

/** What packages do not have: holes, names that are no text, attributes, a large file, a pipe, a device. */
async function addOddities(directory: string): Promise<void> {
  const random = new Random('oddities');
  for (const name of ['new\nline', '-dash', 'x'.repeat(255), '\xff\xfe', 'sparse', 'large', 'program']) {
    const path = Buffer.from(join(directory, name), 'latin1');
    await writeFile(path, random.bytes(name === 'large' ? 24 << 20 : 50_000));
  }
  await truncate(join(directory, 'sparse'), 32 << 20);
  await chmod(join(directory, 'program'), 0o4755);
  await runCommand(['setfattr', '--name=user.origin', '--value=made', join(directory, 'program')]);
  await runCommand(['setfacl', '--modify=u:33:r', join(directory, 'large')]);
  await runCommand(['mkfifo', join(directory, 'pipe')]);
  await runCommand(['mknod', join(directory, 'null'), 'c', '1', '3']);
}

/** Makes a tree of many small files; each seed makes another one. */
export async function makeSmallFiles(
  root: string,
  count: number,
  seed: string,
  signal: AbortSignal,
): Promise<void> {
  const random = new Random(`small files ${seed}`);
  for (let number = 0; number < count; number++) {
    throwIfAborted(signal);
    const directory = join(root, String(number % 97), String(number % 41));
    if (number < 97 * 41) await mkdir(directory, { recursive: true });
    await writeFile(join(directory, String(number)), random.bytes(random.size(64, 32_768)));
  }
  await settleTimes(root, MADE, MADE);
}

/** Changes about one in a hundred of them. */
export async function changeSmallFiles(root: string, seed: string, signal: AbortSignal): Promise<void> {
  const random = new Random(`changed small files ${seed}`);
  await updateTree(root, { part: 1 / 100, together: 1, time: UPDATED, random, signal });
}

/** Makes the next revision of a server, as large a change of it each time. */
export async function reviseServer(root: string, revision: number, signal: AbortSignal): Promise<void> {
  const random = new Random(`revision ${String(revision)}`);
  const time = UPDATED + revision * 86_400;
  await updateTree(join(root, 'usr'), { part: REVISED_PART, together: 30, time, random, signal });
}

/** Makes part of a tree that grows by parts, in which nothing shows when it was made. */
export async function addPart(root: string, part: number, count: number, signal: AbortSignal): Promise<void> {
  await makeSmallFiles(join(root, `part-${String(part)}`), count, `part ${String(part)}`, signal);
  await settleTimes(root, MADE, MADE);
}

/** Changes the first part of such a tree. */
export async function changePart(root: string, signal: AbortSignal): Promise<void> {
  await changeSmallFiles(join(root, 'part-0'), 'part', signal);
}
