import type { Kernel } from './find-kernels.js';
import { loaderPath } from './find-kernels.js';
import { consoleOf } from './kernel-options.js';
import type { Architecture, BootOptions } from './options.js';

/*
 * Configuration of GRUB. The loaders find the root partition as the third of the disk that they were started from,
 * not by a UUID: another disk with the same one does no harm, and nothing in a loader depends on the volume.
 */

/** A kernel in the menu. */
export interface MenuEntry {
  title: string;
  kernel: Kernel;
  commandLine: string;
}

const HEAD = '# Made by image-unpacker.';
const ROOT_PARTITION = 'gpt3';

/** A menu of kernels, the first of which is started by itself. */
export function grubMenu(
  entries: readonly MenuEntry[],
  options: BootOptions,
  architecture: Architecture,
): string {
  const lines = [
    HEAD,
    'set default=0',
    `set timeout=${String(options.timeout ?? 0)}`,
    ...serialLines(options, architecture),
  ];
  for (const { title, kernel, commandLine } of entries) {
    const paths = kernel.initrds.map(({ path }) => loaderPath(path)!);
    lines.push(
      '',
      `menuentry '${title.replace(/[^\x20-\x7e]|'/g, '')}' {`,
      `  linux ${loaderPath(kernel.file.path)!} ${commandLine}`,
      ...(paths.length === 0 ? [] : [`  initrd ${paths.join(' ')}`]),
      '}',
    );
  }
  return `${lines.join('\n')}\n`;
}

/** GRUB knows the serial ports of PCs; on other machines the firmware has it on the console. */
function serialLines(options: BootOptions, architecture: Architecture): string[] {
  const [, unit, speed = '9600'] = /^ttyS(\d+)(?:,(\d+).*)?$/.exec(consoleOf(options) ?? '') ?? [];
  if (unit === undefined || architecture !== 'x86_64') return [];
  return [
    `if serial --unit=${unit} --speed=${speed}; then`,
    '  terminal_input console serial',
    '  terminal_output console serial',
    'fi',
  ];
}

/** What a GRUB that was started from the ESP is to do: go on in the root partition. */
export function grubInEsp(configuration: string): string {
  const directory = configuration.slice(0, configuration.lastIndexOf('/'));
  return [
    HEAD,
    `regexp --set=1:disk '^([^,]+),' "$root"`,
    `set root="$disk,${ROOT_PARTITION}"`,
    `set prefix=($root)${directory}`,
    `configfile ($root)${configuration}`,
    '',
  ].join('\n');
}

/** What GRUB has as its prefix when it is started by a BIOS: a partition of the disk that it was started from. */
export function grubPrefix(directory: string): string {
  return `(,${ROOT_PARTITION})${directory}`;
}

/** What keeps the image's own configuration from starting this disk. */
export type Unfit = 'blscfg' | 'foreign' | undefined;

/** UUIDs that a configuration looks for, as GRUB and the kernel name them. */
const UUIDS = /(?:--fs-uuid\b[^\n]*?\s|(?:root|boot)=(?:PART)?UUID=)([0-9A-Fa-f]{4,8}-[0-9A-Fa-f-]{4,27})\b/g;

/**
 * Whether the image's own configuration can start this disk: it cannot when all file systems that it names are
 * others, or when it leaves the menu to a command that the loaders have not.
 */
export function unfitness(text: string, ours: readonly string[], knowsEntries: boolean): Unfit {
  if (/^\s*blscfg\b/m.test(text) && !knowsEntries) return 'blscfg';
  const named = [...text.matchAll(UUIDS)].map(match => match[1]!.toLowerCase());
  return named.length > 0 && !named.some(uuid => ours.includes(uuid)) ? 'foreign' : undefined;
}
