import { ImageUnpackerError } from '../../image/error.js';
import { HEAD_BYTES, peArchitecture } from './architecture.js';
import type { LoaderSource } from './loader-source.js';
import type { Architecture, BootOptions } from './options.js';

/*
 * Loaders that UEFI firmware starts, as packages bring them: whole programs, which are copied as they are. So they
 * are the same everywhere, and one that is signed stays so.
 *
 *   /usr/lib/grub/CPU-efi-signed/grubSUFFIX.efi.signed with /usr/lib/shim/shimSUFFIX.efi.signed     Debian, Ubuntu
 *   /boot/efi/EFI/VENDOR/grubSUFFIX.efi with shimSUFFIX.efi                                         RPM-based
 *   /usr/lib/grub/CPU-efi/monolithic/grubSUFFIX.efi                                                 Debian, Ubuntu
 *   /usr/lib/systemd/boot/efi/systemd-bootSUFFIX.efi[.signed]                                       all
 */

/** A loader and what it is started with. */
export interface EfiLoader {
  kind: 'grub' | 'systemd-boot';
  source: LoaderSource['name'];
  /** Programs by their names in EFI/BOOT; firmware starts the first. */
  programs: { name: string; bytes: Buffer }[];
  /** Directories below EFI in which a GRUB looks for its configuration. */
  vendors: string[];
}

const NAMES: Readonly<Record<Architecture, { suffix: string; cpu: string }>> = {
  x86_64: { suffix: 'x64', cpu: 'x86_64' },
  arm64: { suffix: 'aa64', cpu: 'arm64' },
};

/** Chooses the loader: the image's own, GRUB before systemd-boot, else this machine's. Throws `TOOL_MISSING`. */
export async function chooseEfiLoader(
  sources: readonly LoaderSource[],
  architecture: Architecture,
  { loader = 'auto' }: BootOptions,
): Promise<EfiLoader> {
  for (const source of sources) {
    const found =
      (loader === 'systemd-boot' ? undefined : await grubOf(source, architecture)) ??
      (loader === 'grub' ? undefined : await systemdBootOf(source, architecture));
    if (found !== undefined) return found;
  }
  const { cpu } = NAMES[architecture];
  const wanted = loader === 'systemd-boot' ? 'systemd-boot' : 'GRUB';
  const packages =
    wanted === 'GRUB' ? `grub-efi-${cpu === 'arm64' ? 'arm64' : 'amd64'}-bin` : 'systemd-boot-efi';
  const message = `There is no ${wanted} for UEFI on ${architecture}, neither in the image nor on this machine: install the package ${packages} in one of them, or say --boot-mode legacy-bios or --no-boot`;
  throw new ImageUnpackerError('TOOL_MISSING', message);
}

async function grubOf(source: LoaderSource, architecture: Architecture): Promise<EfiLoader | undefined> {
  const { suffix, cpu } = NAMES[architecture];
  const read = (path: string): Promise<Buffer | undefined> => readProgram(source, path, architecture);
  const grub = `grub${suffix}.efi`;
  const signed = await read(`/usr/lib/grub/${cpu}-efi-signed/${grub}.signed`);
  if (signed !== undefined) {
    const shim = await read(`/usr/lib/shim/shim${suffix}.efi.signed`);
    const manager =
      (await read(`/usr/lib/shim/mm${suffix}.efi.signed`)) ?? (await read(`/usr/lib/shim/mm${suffix}.efi`));
    return grubLoader(source, suffix, { grub: signed, shim, manager }, []);
  }
  for (const vendor of await source.names('/boot/efi/EFI')) {
    const directory = `/boot/efi/EFI/${vendor}`;
    const found = await read(`${directory}/${grub}`);
    if (found === undefined) continue;
    const shim = await read(`${directory}/shim${suffix}.efi`);
    const manager = await read(`${directory}/mm${suffix}.efi`);
    return grubLoader(source, suffix, { grub: found, shim, manager }, [vendor]);
  }
  const monolithic = await read(`/usr/lib/grub/${cpu}-efi/monolithic/${grub}`);
  return monolithic && grubLoader(source, suffix, { grub: monolithic }, []);
}

function grubLoader(
  source: LoaderSource,
  suffix: string,
  { grub, shim, manager }: { grub: Buffer; shim?: Buffer | undefined; manager?: Buffer | undefined },
  vendors: string[],
): EfiLoader {
  const first = `BOOT${suffix.toUpperCase()}.EFI`;
  const programs =
    shim === undefined
      ? [{ name: first, bytes: grub }]
      : [
          { name: first, bytes: shim },
          { name: `grub${suffix}.efi`, bytes: grub },
          ...(manager === undefined ? [] : [{ name: `mm${suffix}.efi`, bytes: manager }]),
        ];
  return { kind: 'grub', source: source.name, programs, vendors };
}

async function systemdBootOf(
  source: LoaderSource,
  architecture: Architecture,
): Promise<EfiLoader | undefined> {
  const { suffix } = NAMES[architecture];
  const path = `/usr/lib/systemd/boot/efi/systemd-boot${suffix}.efi`;
  const bytes =
    (await readProgram(source, `${path}.signed`, architecture)) ??
    (await readProgram(source, path, architecture));
  const name = `BOOT${suffix.toUpperCase()}.EFI`;
  return bytes && { kind: 'systemd-boot', source: source.name, programs: [{ name, bytes }], vendors: [] };
}

/** A program for UEFI on that architecture; undefined for what is none. */
async function readProgram(
  source: LoaderSource,
  path: string,
  architecture: Architecture,
): Promise<Buffer | undefined> {
  const bytes = await source.read(path);
  if (bytes === undefined) return undefined;
  return peArchitecture(bytes.subarray(0, HEAD_BYTES)) === architecture ? bytes : undefined;
}
