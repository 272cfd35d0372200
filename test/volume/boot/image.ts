import type { Entry } from '../../../src/image/entry.js';
import { sha512 } from '../../../src/image/digest.js';
import { comparePaths, parentPath } from '../../../src/image/path.js';
import type { Store } from '../../../src/store/store.js';
import type { BootRequest } from '../../../src/volume/boot/plan-boot.js';
import { ImageFiles } from '../../../src/volume/boot/image-files.js';
import type { LoaderSource } from '../../../src/volume/boot/loader-source.js';
import { manifestOf } from '../../model/memory-manifest.js';

/** A file's content, or where a symbolic link leads to: `{ link: 'target' }`. */
export type Content = string | Buffer | { link: string };

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };

/** The files of an image that is made of paths and contents; directories are made as needed. */
export function imageOf(contents: Readonly<Record<string, Content>>): {
  files: ImageFiles;
  entries: Entry[];
  objects: ReadonlyMap<string, Buffer>;
} {
  const objects = new Map<string, Buffer>();
  const entries = new Map<string, Entry>();
  const directory = (path: Buffer): void => {
    if (path.length > 0) directory(parentPath(path));
    if (!entries.has(path.toString())) entries.set(path.toString(), { type: 'directory', path, ...metadata });
  };
  directory(Buffer.alloc(0));
  for (const [name, content] of Object.entries(contents)) {
    const path = Buffer.from(name);
    if (name.endsWith('/')) {
      directory(path.subarray(0, -1));
      continue;
    }
    directory(parentPath(path));
    if (typeof content === 'object' && 'link' in content) {
      entries.set(name, {
        type: 'symlink',
        path,
        ...metadata,
        mode: 0o777,
        names: [],
        target: Buffer.from(content.link),
      });
      continue;
    }
    const bytes = Buffer.from(content);
    const digest = bytes.length === 0 ? null : sha512(bytes);
    if (digest !== null) objects.set(digest.toString('hex'), bytes);
    entries.set(name, {
      type: 'file',
      path,
      ...metadata,
      names: [],
      size: BigInt(bytes.length),
      holes: [],
      digest,
    });
  }
  const sorted = [...entries.values()].sort((a, b) => comparePaths(a.path, b.path));
  const read = (digest: Buffer): Promise<Buffer> => Promise.resolve(objects.get(digest.toString('hex'))!);
  return {
    files: new ImageFiles(manifestOf(sorted).reader, { read } as unknown as Store),
    entries: sorted,
    objects,
  };
}

/** The beginning of a kernel of x86-64: the boot protocol's signature, its version, and that it has 64 bits. */
export function kernelOfX86(text = ''): Buffer {
  const kernel = Buffer.alloc(0x400);
  kernel.write('HdrS', 0x202, 'latin1');
  kernel.writeUInt16LE(0x20f, 0x206);
  kernel[0x236] = 1;
  kernel.write(text, 0x300);
  return kernel;
}

/** The beginning of a kernel of arm64. */
export function kernelOfArm(text = ''): Buffer {
  const kernel = Buffer.alloc(0x400);
  kernel.write('ARMd', 0x38, 'latin1');
  kernel.write(text, 0x300);
  return kernel;
}

/** The beginning of a program for Linux. */
export function program(architecture: 'x86_64' | 'arm64'): Buffer {
  const head = Buffer.alloc(64);
  head.write('\x7fELF', 0, 'latin1');
  head.writeUInt16LE(architecture === 'x86_64' ? 62 : 183, 18);
  return head;
}

/** A program for UEFI. */
export function efiProgram(architecture: 'x86_64' | 'arm64', text = ''): Buffer {
  const head = Buffer.alloc(512);
  head.write('MZ', 0, 'latin1');
  head.writeUInt32LE(128, 0x3c);
  head.write('PE\0\0', 128, 'latin1');
  head.writeUInt16LE(architecture === 'x86_64' ? 0x8664 : 0xaa64, 132);
  head.write(text, 256);
  return head;
}

/** Boot loaders of a machine that has no others. */
export function machineWith(files: Readonly<Record<string, Buffer>>): LoaderSource {
  return {
    name: 'unpacker',
    read: path => Promise.resolve(files[path]),
    names: path =>
      Promise.resolve(
        Object.keys(files)
          .filter(each => each.startsWith(`${path}/`))
          .map(each => each.slice(path.length + 1).split('/')[0]!),
      ),
  };
}

/** The least that an image needs to boot by UEFI, whatever loader there is. */
export const LEAST = {
  'boot/vmlinuz-6.1.0-9': kernelOfX86('nine'),
  'boot/initrd.img-6.1.0-9': 'initrd nine',
  'usr/bin/env': program('x86_64'),
};

const NO_CACHE = { get: () => Promise.resolve(undefined), put: () => Promise.resolve() };

/** A request for an image on a machine that has a GRUB for UEFI. */
export function requestFor(files: ImageFiles, more: Partial<BootRequest> = {}): BootRequest {
  return {
    files,
    options: { bootMode: 'uefi' },
    sources: [
      machineWith({
        '/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi': efiProgram('x86_64', 'grub of the machine'),
        '/usr/lib/grub/arm64-efi/monolithic/grubaa64.efi': efiProgram('arm64', 'grub of the machine'),
      }),
    ],
    partitions: {
      root: 'aaaaaaaa-0000-8000-8000-00000000root',
      esp: 'aaaaaaaa-0000-8000-8000-000000000esp',
      uuid: 'bbbbbbbb-0000-8000-8000-000000000000',
    },
    cache: NO_CACHE,
    ...more,
  };
}
