import { ImageUnpackerError } from '../../image/error.js';
import type { BootOptions, DiskOptions } from '../../volume/boot/options.js';
import { ARCHITECTURES, BOOT_MODES, LOADERS, MAX_TIMEOUT } from '../../volume/boot/options.js';
import type { OptionValues } from '../command.js';
import { flag, oneOf, optional } from '../option.js';
import { parseSize } from '../size.js';

/** How a disk is made to boot. When none of these is given, it is as it was last. */
export const bootOptions = {
  // Of an option that begins with --no- the value is whether it was left out.
  boot: flag('--no-boot', 'the disk need not boot: no kernel is looked for, no boot loader installed'),
  initrd: flag('--no-initrd', 'the kernels need no initrd'),
  kernelOptions: optional(
    '--kernel-options <options>',
    "the kernel's command line beside root= and console=",
  ),
  console: optional('--console <port>', 'the serial console, such as ttyS0,115200n8, or none'),
  timeout: optional('--boot-timeout <seconds>', 'how long the menu is shown', parseSeconds),
  loader: optional('--boot-loader <loader>', 'what UEFI starts: auto, grub, systemd-boot', oneOf(...LOADERS)),
  files: optional(
    '--boot-files <how>',
    "keep: the image's own fstab and boot configuration stay; replace: they are made anew",
    oneOf('keep', 'replace'),
  ),
  architecture: optional(
    '--architecture <name>',
    'x86_64 or arm64; default: what the kernel is for',
    oneOf(...ARCHITECTURES),
  ),
  bootMode: optional('--boot-mode <mode>', 'uefi-preferred, uefi or legacy-bios', oneOf(...BOOT_MODES)),
  rootDevice: optional(
    '--root-device <path>',
    'what the disk is called on the machine that boots, such as /dev/xvda',
  ),
};

/** How a disk is made; once it is made that stays. */
export const diskOptions = {
  identity: optional(
    '--identity <of>',
    'stream: the UUIDs of a disk stay; image: each image has its own; default: stream',
    oneOf('stream', 'image'),
  ),
  espBytes: optional(
    '--esp-size <size>',
    'of the EFI system partition of a disk that is made; default: 64MiB',
    parseSize,
  ),
  biosBootBytes: optional(
    '--bios-boot-size <size>',
    'of the BIOS boot partition of a disk that is made; default: 1MiB',
    parseSize,
  ),
};

/** What the options say; undefined when none of them is given. */
export function bootOptionsOf(values: OptionValues<typeof bootOptions>): BootOptions | undefined {
  const { boot, initrd, kernelOptions, console, timeout, loader, files, architecture, bootMode, rootDevice } =
    values;
  const given: BootOptions = {
    ...(boot ? {} : { boot }),
    ...(initrd ? {} : { initrd }),
    kernelOptions,
    console,
    timeout,
    loader,
    files,
    architecture,
    bootMode,
    rootDevice,
  };
  return Object.values(given).some(value => value !== undefined) ? given : undefined;
}

/** What the options say of a disk that is made. */
export function diskOptionsOf(values: OptionValues<typeof diskOptions>): DiskOptions {
  const { espBytes, biosBootBytes, identity } = values;
  return { espBytes, biosBootBytes, identity };
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds <= MAX_TIMEOUT) return seconds;
  throw new ImageUnpackerError('USAGE', `"${text}" is no number of seconds from 0 to ${String(MAX_TIMEOUT)}`);
}
