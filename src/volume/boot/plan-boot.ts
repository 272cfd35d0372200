import { ImageUnpackerError } from '../../image/error.js';
import type { FatFile } from '../disk/fat32.js';
import type { BiosGrub, CoreCache } from './bios-loader.js';
import { makeBiosGrub } from './bios-loader.js';
import type { EfiLoader } from './efi-loader.js';
import { chooseEfiLoader } from './efi-loader.js';
import { espFiles, ownEspFiles } from './esp-files.js';
import type { DiskPartitions } from './fstab.js';
import { diskOfNode, hasRoot, makeFstab, missingSources, rootDisk, saysAnything } from './fstab.js';
import { GeneratedFiles } from './generated-files.js';
import type { MenuEntry } from './grub-configuration.js';
import { grubMenu, unfitness } from './grub-configuration.js';
import type { ImageFiles } from './image-files.js';
import { commandLine } from './kernel-options.js';
import { loaderFiles } from './loader-entries.js';
import type { LoaderSource } from './loader-source.js';
import type { BootFacts, BootMode, BootOptions } from './options.js';
import type { Machine } from './read-machine.js';
import { readMachine } from './read-machine.js';

/** What a disk is made to boot of. */
export interface BootRequest {
  files: ImageFiles;
  options: BootOptions;
  /** The image's boot loaders, then this machine's. */
  sources: readonly LoaderSource[];
  partitions: DiskPartitions;
  cache: CoreCache;
  signal?: AbortSignal | undefined;
}

/** All that makes an image boot from a disk. */
export interface BootPlan {
  /** What is added to the image's tree or changed in it. */
  generated: GeneratedFiles;
  bios: BiosGrub | undefined;
  /** What the ESP is to have; undefined when it is not used. */
  esp: FatFile[] | undefined;
  facts: BootFacts;
  /** What may surprise. */
  warnings: string[];
}

const OTHER_CONFIGURATION = 'image-unpacker.cfg';
const DEFAULT_ROOT_DEVICE = '/dev/xvda';

/** Plans how an image boots. Throws `IMAGE_UNSUPPORTED` when it cannot, `TOOL_MISSING` where loaders are missing, `USAGE`. */
export async function planBoot(request: BootRequest): Promise<BootPlan> {
  const { files, options } = request;
  const machine = await readMachine(files, options);
  const bootMode = bootModeOf(machine, options);
  const planner = new Planner(request, machine);
  const fstab = await planner.fstab(bootMode !== 'legacy-bios');
  const menu = await planner.menu(fstab);
  const efi =
    bootMode === 'legacy-bios'
      ? undefined
      : await chooseEfiLoader(request.sources, machine.architecture, options);
  const usesGrub = bootMode !== 'uefi' || efi?.kind === 'grub';
  const chosen = usesGrub ? await planner.grub(menu, bootMode !== 'uefi', efi) : undefined;
  const esp = efi && (await planner.esp(efi, menu, chosen?.configuration ?? ''));
  const facts: BootFacts = {
    architecture: machine.architecture,
    bootMode,
    rootDevice: options.rootDevice ?? rootDisk(fstab) ?? rootOf(menu) ?? DEFAULT_ROOT_DEVICE,
    kernels: machine.kernels.map(({ version }) => version),
  };
  return { generated: planner.generated, bios: chosen?.bios, esp, facts, warnings: planner.warnings };
}

function bootModeOf({ architecture }: Machine, { bootMode }: BootOptions): BootMode {
  if (architecture === 'x86_64') return bootMode ?? 'uefi-preferred';
  if (bootMode === 'legacy-bios')
    throw new ImageUnpackerError('USAGE', `There is no BIOS on ${architecture}: leave out --boot-mode`);
  return 'uefi';
}

/** The disk that the image's own options name the root on, if they name a node. */
function rootOf(menu: readonly MenuEntry[]): string | undefined {
  const [, node] = /(?:^| )root=(\S+)/.exec(menu[0]?.kernel.options ?? '') ?? [];
  return node === undefined ? undefined : diskOfNode(node);
}

class Planner {
  readonly #request: BootRequest;
  readonly #machine: Machine;
  readonly generated: GeneratedFiles;
  readonly warnings: string[] = [];

  constructor(request: BootRequest, machine: Machine) {
    this.#request = request;
    this.#machine = machine;
    this.generated = new GeneratedFiles(request.files);
  }

  /** The fstab that the disk will have. */
  async fstab(usesEsp: boolean): Promise<string> {
    const { files, options, partitions } = this.#request;
    const own = (await files.text('/etc/fstab')) ?? '';
    if (options.files !== 'replace' && saysAnything(own)) {
      const missing = missingSources(own, partitions);
      if (missing.length > 0)
        this.warnings.push(
          `The image's /etc/fstab, which stays as it is, names what the disk has not: ${missing.join(', ')}; say --boot-files replace to have one made`,
        );
      return own;
    }
    const made = makeFstab(partitions, usesEsp ? await this.#espDirectory() : undefined);
    await this.generated.write('/etc/fstab', made);
    return made;
  }

  async #espDirectory(): Promise<string | undefined> {
    for (const path of ['boot/efi', 'efi']) {
      if ((await this.#request.files.entry(path))?.type === 'directory') return `/${path}`;
    }
    return undefined;
  }

  async menu(fstab: string): Promise<MenuEntry[]> {
    const { files, options, partitions } = this.#request;
    const name =
      /^PRETTY_NAME="?([^"\n]*)/m.exec((await files.text('/etc/os-release')) ?? '')?.[1] ?? 'Linux';
    const ofImage = (await files.text('/etc/kernel/cmdline'))?.trim().replace(/\s+/g, ' ');
    const line = { options, ofImage, root: `PARTUUID=${partitions.root}`, remounted: hasRoot(fstab) };
    return this.#machine.kernels.map(kernel => ({
      title: kernel.title ?? `${name}, with Linux ${kernel.version}`,
      kernel,
      commandLine: commandLine(kernel, line),
    }));
  }

  /** GRUB's configuration, the image's own where it can start the disk, and GRUB for BIOS, if that is wanted. */
  async grub(
    menu: readonly MenuEntry[],
    wantsBios: boolean,
    efi: EfiLoader | undefined,
  ): Promise<{ configuration: string; bios: BiosGrub | undefined }> {
    const { files, options, sources, cache, signal } = this.#request;
    const directory =
      (await files.find('boot/grub2'))?.entry.type === 'directory' ? '/boot/grub2' : '/boot/grub';
    const usual = `${directory}/grub.cfg`;
    const biosFor = async (path: string): Promise<BiosGrub | undefined> =>
      wantsBios ? makeBiosGrub(sources, path, cache, signal) : undefined;
    let bios = await biosFor(usual);
    let configuration = usual;
    const own = options.files === 'replace' ? undefined : await files.text(usual);
    if (own !== undefined) {
      const grubs = efi?.kind === 'grub' ? [efi.programs.some(({ bytes }) => bytes.includes('blscfg'))] : [];
      if (bios !== undefined) grubs.push(bios.knowsEntries);
      const unfit = unfitness(
        own,
        this.#ours(),
        grubs.every(knows => knows),
      );
      if (unfit === undefined) return { configuration, bios };
      configuration = `${directory}/${OTHER_CONFIGURATION}`;
      bios = await biosFor(configuration);
      const why =
        unfit === 'foreign'
          ? 'names file systems that the disk has not'
          : 'has commands that the boot loader has not';
      this.warnings.push(
        `The image's ${usual}, which stays as it is, ${why}; the disk starts by ${configuration} instead`,
      );
    }
    await this.generated.write(configuration, grubMenu(menu, options, this.#machine.architecture));
    return { configuration, bios };
  }

  async esp(efi: EfiLoader, menu: readonly MenuEntry[], configuration: string): Promise<FatFile[]> {
    const { files, options } = this.#request;
    const id = /^ID="?([a-z0-9._-]+)/m.exec((await files.text('/etc/os-release')) ?? '')?.[1];
    return espFiles(await ownEspFiles(files), efi, {
      configuration,
      vendors: id === undefined ? [] : [id],
      ours: this.#ours(),
      loaderFiles: efi.kind === 'systemd-boot' ? await loaderFiles(files, menu, options) : [],
    });
  }

  #ours(): string[] {
    const { root, esp, uuid } = this.#request.partitions;
    return [root, esp, uuid];
  }
}
