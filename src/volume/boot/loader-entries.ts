import { baseName } from '../../image/path.js';
import type { FatFile } from '../disk/fat32.js';
import type { MenuEntry } from './grub-configuration.js';
import type { ImageFiles } from './image-files.js';
import type { BootOptions } from './options.js';

/*
 * What systemd-boot reads, all of it in the ESP: its configuration, an entry for each kernel (UAPI.1, Boot Loader
 * Specification), and kernels and initrds themselves.
 */

/** A kernel or an initrd of this size is none. */
const MAX_FILE_BYTES = 1 << 30;

/** The files of the ESP that systemd-boot needs beside itself. */
export async function loaderFiles(
  files: ImageFiles,
  entries: readonly MenuEntry[],
  { timeout = 0 }: BootOptions,
): Promise<FatFile[]> {
  const made: FatFile[] = [
    text('loader/loader.conf', [`timeout ${String(timeout)}`, `default ${idOf(0)}.conf`]),
  ];
  const copied = new Map<string, FatFile>();
  for (const [at, { title, kernel, commandLine }] of entries.entries()) {
    const copy = async (file: MenuEntry['kernel']['file']): Promise<string> => {
      const path = `kernels/${file.entry.digest!.toString('hex', 0, 8)}-${baseName(file.path)
        .toString('latin1')
        .replace(/[^A-Za-z0-9._-]/g, '_')}`;
      if (!copied.has(path)) copied.set(path, { path, bytes: await files.read(file, MAX_FILE_BYTES) });
      return `/${path}`;
    };
    const lines = [`title ${title}`, `version ${kernel.version}`, `linux ${await copy(kernel.file)}`];
    for (const initrd of kernel.initrds) lines.push(`initrd ${await copy(initrd)}`);
    made.push(text(`loader/entries/${idOf(at)}.conf`, [...lines, `options ${commandLine}`]));
  }
  return [...made, ...copied.values()];
}

/** Entries are shown in the order of their names. */
function idOf(at: number): string {
  return `kernel-${String(at).padStart(3, '0')}`;
}

function text(path: string, lines: readonly string[]): FatFile {
  return { path, bytes: Buffer.from(`${lines.join('\n')}\n`) };
}
