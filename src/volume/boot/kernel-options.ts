import { ImageUnpackerError } from '../../image/error.js';
import type { BootOptions } from './options.js';
import type { Kernel } from './find-kernels.js';

/** What the disk says itself, whatever the image has of another one. */
const OURS = /^(?:root|rootflags|rootfstype|ro|rw|initrd|BOOT_IMAGE|resume)(?:=|$)/;
/** Both the screen of a cloud's console and its serial port, which is the last and so the system's. */
const DEFAULT_CONSOLE = 'ttyS0,115200n8';

/** What a command line is made of. */
export interface CommandLine {
  options: BootOptions;
  /** What the image's /etc/kernel/cmdline says. */
  ofImage: string | undefined;
  /** How the root file system is found: `PARTUUID=…`. */
  root: string;
  /** Whether the image's fstab has the root mounted for writing later. */
  remounted: boolean;
}

/** The serial console, `ttyS0,115200n8`; undefined for none. */
export function consoleOf({ console: given = DEFAULT_CONSOLE }: BootOptions): string | undefined {
  if (given === 'none') return undefined;
  if (/^[A-Za-z0-9,]+$/.test(given)) return given;
  throw new ImageUnpackerError(
    'USAGE',
    `"${given}" is no serial console; write one like ttyS0,115200n8, or none`,
  );
}

/** The command line of a kernel. Throws `USAGE` for options that a boot loader cannot be told. */
export function commandLine(kernel: Kernel, { options, ofImage, root, remounted }: CommandLine): string {
  const given = options.kernelOptions ?? ofImage ?? kernel.options ?? '';
  if (!/^[\x20-\x7e]*$/.test(given) || /["'\\;{}|&<>]/.test(given)) {
    const message = `The kernel options ${JSON.stringify(given)} have characters that a boot loader would take for its own; leave those out`;
    throw new ImageUnpackerError('USAGE', message);
  }
  // Variables of GRUB, such as $kernelopts, stand for what is said here.
  const kept = given.split(' ').filter(word => word !== '' && !word.startsWith('$') && !OURS.test(word));
  const serial = consoleOf(options);
  const consoles =
    kept.some(word => word.startsWith('console=')) || serial === undefined
      ? []
      : ['console=tty0', `console=${serial}`];
  return [`root=${root}`, remounted ? 'ro' : 'rw', ...consoles, ...kept].join(' ');
}
