import type { FileEntry } from '../../image/entry.js';
import { displayBytes } from '../../image/path.js';
import type { FoundFile, ImageFiles } from './image-files.js';
import { compareVersions } from './version-order.js';

/*
 * The kernels of an image, wherever its distribution puts them:
 *
 *   /boot/vmlinuz-VERSION (vmlinux-, kernel-, Image-)    with initrd.img-VERSION, initramfs-VERSION.img, initrd-VERSION …
 *   /boot/loader/entries/NAME.conf                       entries of the Boot Loader Specification (UAPI.1), which name
 *                                                        kernel, initrds and options
 *   /usr/lib/modules/VERSION/vmlinuz                     with initramfs.img or initrd, where /boot is left empty
 */

/** A kernel that can be started. */
export interface Kernel {
  version: string;
  /** Where it really is. */
  file: FoundFile<FileEntry>;
  initrds: FoundFile<FileEntry>[];
  /** What the image's own entry for it says. */
  title?: string;
  options?: string;
}

const KERNEL_NAME = /^(?:vmlinuz|vmlinux|kernel|Image)(?:-(.+))?$/;
const NO_KERNEL = /\.(?:hmac|sig|efi|old|bak|dpkg-\w+|rpm\w+)$/;
const ENTRY_NAME = /^(.+)\.conf$/;
const MAX_ENTRY_BYTES = 64 << 10;
/** What a kernel that has no version in its name is called. */
const UNVERSIONED = 'default';

/** The kernels of an image, the latest first. One that is found in several ways counts once. */
export async function findKernels(files: ImageFiles): Promise<Kernel[]> {
  const kernels = new Map<string, Kernel>();
  // The image's own entry for a kernel, which knows more, comes first.
  for (const kernel of [...(await fromEntries(files)), ...(await fromBoot(files))]) {
    const key = `${kernel.version}\0${digestOf(kernel.file)}`;
    if (!kernels.has(key)) kernels.set(key, kernel);
  }
  const found = withoutAliases([...kernels.values()]);
  const versions = new Set(found.map(({ version }) => version));
  for (const kernel of await fromModules(files)) if (!versions.has(kernel.version)) found.push(kernel);
  return found.sort((a, b) => compareVersions(b.version, a.version));
}

/** A kernel without a version in its name that is one of the others under a second name. */
function withoutAliases(kernels: readonly Kernel[]): Kernel[] {
  return kernels.filter(
    kernel =>
      kernel.version !== UNVERSIONED ||
      !kernels.some(other => other !== kernel && digestOf(other.file) === digestOf(kernel.file)),
  );
}

function digestOf({ entry }: FoundFile<FileEntry>): string {
  return entry.digest?.toString('hex') ?? '';
}

async function fromBoot(files: ImageFiles): Promise<Kernel[]> {
  const kernels: Kernel[] = [];
  for (const bytes of await files.names('boot')) {
    const name = bytes.toString('latin1');
    const match = KERNEL_NAME.exec(name);
    if (match === null || NO_KERNEL.test(name)) continue;
    const version = match[1];
    const file = await files.file(inBoot(bytes));
    if (file === undefined || file.entry.digest === null) continue;
    const initrd = await firstFile(files, version === undefined ? UNVERSIONED_INITRDS : initrdsOf(version));
    kernels.push({ version: version ?? UNVERSIONED, file, initrds: initrd === undefined ? [] : [initrd] });
  }
  return kernels;
}

const UNVERSIONED_INITRDS = ['boot/initrd.img', 'boot/initramfs.img', 'boot/initrd', 'boot/initramfs'];

function initrdsOf(version: string): string[] {
  const names = [
    `initrd.img-${version}`,
    `initramfs-${version}.img`,
    `initrd-${version}`,
    `initrd-${version}.img`,
    `initramfs-${version}`,
  ];
  return names.map(name => `boot/${name}`);
}

async function fromModules(files: ImageFiles): Promise<Kernel[]> {
  const kernels: Kernel[] = [];
  for (const bytes of await files.names('usr/lib/modules')) {
    const version = bytes.toString('latin1');
    const directory = `usr/lib/modules/${version}`;
    const file = await files.file(Buffer.from(`${directory}/vmlinuz`, 'latin1'));
    if (file === undefined || file.entry.digest === null) continue;
    const near = ['initramfs.img', 'initrd.img', 'initrd', 'initramfs'].map(name => `${directory}/${name}`);
    const initrd = await firstFile(files, [...initrdsOf(version), ...near]);
    kernels.push({ version, file, initrds: initrd === undefined ? [] : [initrd] });
  }
  return kernels;
}

async function fromEntries(files: ImageFiles): Promise<Kernel[]> {
  const kernels: Kernel[] = [];
  for (const bytes of await files.names('boot/loader/entries')) {
    const match = ENTRY_NAME.exec(bytes.toString('latin1'));
    if (match === null) continue;
    const file = await files.file(Buffer.concat([Buffer.from('boot/loader/entries/'), bytes]));
    if (file === undefined) continue;
    const fields = parseEntry((await files.read(file, MAX_ENTRY_BYTES)).toString('utf8'));
    const kernel = await kernelOf(files, match[1]!, fields);
    if (kernel !== undefined) kernels.push(kernel);
  }
  return kernels;
}

async function kernelOf(
  files: ImageFiles,
  name: string,
  fields: ReadonlyMap<string, string[]>,
): Promise<Kernel | undefined> {
  const [linux] = fields.get('linux') ?? [];
  if (linux === undefined) return undefined;
  const file = await onBootPartition(files, linux);
  if (file === undefined) return undefined;
  const initrds: FoundFile<FileEntry>[] = [];
  for (const path of (fields.get('initrd') ?? []).flatMap(line => line.split(/\s+/))) {
    // Variables of GRUB, such as $tuned_initrd, are nothing to us.
    const initrd = path.startsWith('$') ? undefined : await onBootPartition(files, path);
    if (initrd !== undefined) initrds.push(initrd);
  }
  const [version] = fields.get('version') ?? [];
  const [title] = fields.get('title') ?? [];
  const options = (fields.get('options') ?? []).join(' ');
  return {
    version: version ?? KERNEL_NAME.exec(linux.slice(linux.lastIndexOf('/') + 1))?.[1] ?? name,
    file,
    initrds,
    ...(title === undefined ? {} : { title }),
    ...(options === '' ? {} : { options }),
  };
}

/** Paths of entries begin where the file system does that holds /boot: that may be /boot itself. */
async function onBootPartition(files: ImageFiles, path: string): Promise<FoundFile<FileEntry> | undefined> {
  return (await files.file(`boot/${path.replace(/^\/+/, '')}`)) ?? (await files.file(path));
}

/** `key value` lines; a key may stand more than once. */
function parseEntry(text: string): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [, key, value] = /^\s*([A-Za-z_-]+)\s+(.*?)\s*$/.exec(line) ?? [];
    if (key === undefined || value === undefined || value === '') continue;
    fields.set(key, [...(fields.get(key) ?? []), value]);
  }
  return fields;
}

async function firstFile(
  files: ImageFiles,
  paths: readonly string[],
): Promise<FoundFile<FileEntry> | undefined> {
  for (const path of paths) {
    const file = await files.file(Buffer.from(path, 'latin1'));
    if (file !== undefined && file.entry.digest !== null) return file;
  }
  return undefined;
}

function inBoot(name: Buffer): Buffer {
  return Buffer.concat([Buffer.from('boot/'), name]);
}

/** A path as a boot loader is told it; undefined when it has characters that one cannot be told. */
export function loaderPath(path: Buffer): string | undefined {
  const shown = displayBytes(path);
  return /^[A-Za-z0-9/._+~:@=,-]+$/.test(shown) ? `/${shown}` : undefined;
}
