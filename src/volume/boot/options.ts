import * as v from 'valibot';

/** What a machine can be that an image is for, as clouds call it. */
export const ARCHITECTURES = ['x86_64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** How firmware is to start a disk, as clouds call it. */
export const BOOT_MODES = ['uefi', 'legacy-bios', 'uefi-preferred'] as const;
export type BootMode = (typeof BOOT_MODES)[number];

/** Which loader UEFI firmware starts. */
export const LOADERS = ['auto', 'grub', 'systemd-boot'] as const;

/** The longest that a menu is shown, in seconds. */
export const MAX_TIMEOUT = 3600;

/** The fields of `BootOptions`, as records and configurations have them. */
export const bootEntries = {
  boot: v.optional(v.boolean()),
  kernelOptions: v.optional(v.string()),
  console: v.optional(v.string()),
  timeout: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_TIMEOUT))),
  loader: v.optional(v.picklist(LOADERS)),
  initrd: v.optional(v.boolean()),
  files: v.optional(v.picklist(['keep', 'replace'])),
  architecture: v.optional(v.picklist(ARCHITECTURES)),
  bootMode: v.optional(v.picklist(BOOT_MODES)),
  rootDevice: v.optional(v.string()),
};

/**
 * How a disk is made to boot; what is left out is found in the image, or is what most images want:
 *   boot           `false`: no kernel is looked for, and no loader installed
 *   kernelOptions  the kernel command line beside `root=` and `console=`; else the image's own
 *   console        the serial console, `ttyS0,115200n8` unless something else is said, or `none`
 *   timeout        how many seconds the menu is shown; 0
 *   loader         which loader UEFI firmware starts
 *   initrd         `false`: kernels that have none are good enough
 *   files          `replace`: the image's own fstab and boot configuration give way to made ones
 *   architecture, bootMode, rootDevice
 *                  what a machine is told of the disk, where that is not to be what is found in the image
 */
export type BootOptions = {
  readonly [K in keyof typeof bootEntries]?: v.InferOutput<(typeof bootEntries)[K]>;
};

/** How a disk is made; what a disk has once it is made stays. */
export interface DiskOptions {
  /** Of the partitions before the root, in bytes. */
  espBytes?: number | undefined;
  biosBootBytes?: number | undefined;
  /** Whether the UUIDs are the stream's, the same at all revisions, or each image's own. */
  identity?: 'stream' | 'image' | undefined;
}

/** What of the image is the machine's to know that boots it. */
export interface BootFacts {
  architecture: Architecture;
  bootMode: BootMode;
  rootDevice: string;
  /** The versions of the kernels in the menu, the one that is started by itself first. */
  kernels: string[];
}
