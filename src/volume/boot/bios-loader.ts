import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import { BOOT_CODE_BYTES } from '../disk/boot-area.js';
import { SECTOR_BYTES } from '../disk/gpt.js';
import { runTool } from '../tool.js';
import { grubPrefix } from './grub-configuration.js';
import type { LoaderSource } from './loader-source.js';

/*
 * GRUB for BIOS. grub-mkimage links its kernel and modules into a core image, which is put into the BIOS boot
 * partition; two sectors are told where it is (grub-core/boot/i386/pc/boot.S and diskboot.S):
 *
 *   boot.img  440 bytes of code     5C: sector of the core, u64   64: the drive, FF for that of the BIOS
 *                                   66: two bytes that are NOPs where the BIOS is believed about the drive
 *   core      sectors of 512 bytes  1F4 in the first: where the rest is, u64, how many, u16, and the segment for it
 */

/** A core image that is linked, and the code for the first sector; neither says yet where the core is. */
export interface BiosGrub {
  source: LoaderSource['name'];
  boot: Buffer;
  core: Buffer;
  /** Whether it has the command that reads entries of the Boot Loader Specification. */
  knowsEntries: boolean;
}

const DIRECTORY = '/usr/lib/grub/i386-pc';
const FORMAT = 'i386-pc';
/** What starts the disk, and what configurations that grub-mkconfig makes want besides. */
const MODULES = [
  ...['biosdisk', 'part_gpt', 'ext2', 'normal', 'configfile', 'linux', 'serial', 'terminal'],
  ...[
    'search',
    'search_fs_uuid',
    'search_fs_file',
    'search_label',
    'test',
    'true',
    'echo',
    'regexp',
    'loadenv',
  ],
  ...['gzio', 'minicmd', 'ls', 'cat', 'sleep', 'reboot', 'halt', 'all_video', 'gfxterm', 'gfxmenu', 'probe'],
];
/** Those of them that not every GRUB has, and others. */
const OPTIONAL = new Set(['all_video', 'gfxterm', 'gfxmenu', 'probe', 'minicmd', 'search_label', 'true']);
const WHERE_THERE = ['blscfg', 'increment', 'version', 'zstdio', 'xzio'];
/** Files of the directory that grub-mkimage reads beside modules. */
const IMAGES = ['kernel.img', 'diskboot.img', 'lzma_decompress.img', 'moddep.lst'];
const MODULE_NAME = /^[A-Za-z0-9_]+$/;
/** As much as fits below the memory that a PC keeps for itself, and far more than is needed. */
const MAX_CORE_BYTES = 480 << 10;
const TOOLS = ['grub-mkimage', 'grub2-mkimage'];

/** Where linked cores are kept, by what they were made of. */
export interface CoreCache {
  get(key: string): Promise<Buffer | undefined>;
  put(key: string, core: Buffer): Promise<void>;
}

/**
 * Links a GRUB for BIOS that reads `configuration`, a path on the root partition: the image's own if it is of the
 * version of this machine's grub-mkimage, which alone can link it, else this machine's. Throws `TOOL_MISSING`.
 */
export async function makeBiosGrub(
  sources: readonly LoaderSource[],
  configuration: string,
  cache: CoreCache,
  signal?: AbortSignal,
): Promise<BiosGrub> {
  const tool = await findTool(signal);
  for (const source of sources) {
    const parts = await readParts(source, tool.version);
    if (parts === undefined) continue;
    const { boot, files, modules } = parts;
    const key = keyOf(tool.version, configuration, files, modules);
    let core = await cache.get(key);
    if (core === undefined) {
      core = await link(tool.name, configuration, { files, modules }, signal);
      await cache.put(key, core);
    }
    return { source: source.name, boot, core, knowsEntries: modules.includes('blscfg') };
  }
  const what = `There is no GRUB for BIOS of version ${tool.version}, neither in the image nor on this machine`;
  throw missing(`${what}: install the package grub-pc-bin on this machine`);
}

/** Puts a GRUB at a place of the disk. Throws `NO_SPACE` when the partition is too small. */
export function placeBiosGrub(
  { boot, core }: BiosGrub,
  firstSector: number,
  partitionBytes: number,
): { bootCode: Buffer; core: Buffer } {
  if (core.length > partitionBytes) {
    const message = `The BIOS boot partition of ${String(partitionBytes)} bytes is too small for GRUB, which has ${String(core.length)}`;
    throw new ImageUnpackerError('NO_SPACE', message, { needed: core.length, available: partitionBytes });
  }
  const bootCode = Buffer.from(boot.subarray(0, BOOT_CODE_BYTES));
  bootCode.writeBigUInt64LE(BigInt(firstSector), 0x5c);
  bootCode[0x64] = 0xff;
  bootCode.set([0x90, 0x90], 0x66);
  const placed = Buffer.alloc(Math.ceil(core.length / SECTOR_BYTES) * SECTOR_BYTES);
  core.copy(placed);
  placed.writeBigUInt64LE(BigInt(firstSector + 1), 0x1f4);
  placed.writeUInt16LE(placed.length / SECTOR_BYTES - 1, 0x1fc);
  placed.writeUInt16LE(0x820, 0x1fe);
  return { bootCode, core: placed };
}

interface Parts {
  boot: Buffer;
  files: Map<string, Buffer>;
  modules: string[];
}

async function findTool(signal: AbortSignal | undefined): Promise<{ name: string; version: string }> {
  for (const name of TOOLS) {
    try {
      const { output } = await runTool(name, ['--version'], signal);
      const [, version] = /\bGRUB\)? (\d+\.\d+)/.exec(output) ?? [];
      if (version !== undefined) return { name, version };
    } catch (reason) {
      if (!(reason instanceof ImageUnpackerError) || reason.code !== 'TOOL_MISSING') throw reason;
    }
  }
  throw missing(
    'The program grub-mkimage is not installed: install the packages grub-common and grub-pc-bin, or say --boot-mode uefi or --no-boot',
  );
}

/** What a core is made of, as files of grub-mkimage's directory; undefined where there is no GRUB of that version. */
async function readParts(source: LoaderSource, version: string): Promise<Parts | undefined> {
  const read = (name: string): Promise<Buffer | undefined> => source.read(`${DIRECTORY}/${name}`);
  const boot = await read('boot.img');
  const info = await read('modinfo.sh');
  const dependencies = await read('moddep.lst');
  if (boot?.length !== SECTOR_BYTES || dependencies === undefined) return undefined;
  const [, itsVersion] = /^grub_version="?(\d+\.\d+)/m.exec(info?.toString('latin1') ?? '') ?? [];
  if (itsVersion !== version) return undefined;
  const names = new Set((await source.names(DIRECTORY)).map(name => /^(.*)\.mod$/.exec(name)?.[1]));
  const modules = [...MODULES, ...WHERE_THERE].filter(
    name => names.has(name) || !(OPTIONAL.has(name) || WHERE_THERE.includes(name)),
  );
  const files = new Map<string, Buffer>();
  for (const name of [
    ...IMAGES,
    ...closure(modules, dependencies.toString('latin1')).map(each => `${each}.mod`),
  ]) {
    const bytes = await read(name);
    if (bytes === undefined) return undefined;
    files.set(name, bytes);
  }
  return { boot, files, modules };
}

/** Modules and those that they need, by the lines `module: needed …` of moddep.lst. */
function closure(modules: readonly string[], dependencies: string): string[] {
  const needs = new Map<string, string[]>();
  for (const line of dependencies.split('\n')) {
    const [name, rest] = line.split(':', 2);
    needs.set(
      name!.trim(),
      (rest ?? '').split(/\s+/).filter(each => MODULE_NAME.test(each)),
    );
  }
  const found = new Set(modules);
  for (const name of found) for (const needed of needs.get(name) ?? []) found.add(needed);
  return [...found].sort();
}

function keyOf(
  version: string,
  configuration: string,
  files: ReadonlyMap<string, Buffer>,
  modules: readonly string[],
): string {
  const hash = createHash('sha256').update([FORMAT, version, configuration, ...modules].join('\0'));
  for (const [name, bytes] of files) hash.update(`\0${name}\0${String(bytes.length)}\0`).update(bytes);
  return hash.digest('hex');
}

async function link(
  tool: string,
  configuration: string,
  { files, modules }: Pick<Parts, 'files' | 'modules'>,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const work = await mkdtemp(join(tmpdir(), 'image-unpacker-grub-'));
  try {
    for (const [name, bytes] of files) await writeFile(join(work, name), bytes);
    const [out, early] = [join(work, 'core'), join(work, 'early.cfg')];
    const slash = configuration.lastIndexOf('/');
    await writeFile(early, `normal $prefix${configuration.slice(slash)}\n`);
    const parameters = ['-O', FORMAT, '-d', work, '-p', grubPrefix(configuration.slice(0, slash))];
    const { status, output } = await runTool(
      tool,
      [...parameters, '-c', early, '-o', out, ...modules],
      signal,
    );
    if (status !== 0)
      throw new ImageUnpackerError('TOOL_FAILED', `${tool} could not link GRUB for BIOS: ${output}`);
    const core = await readFile(out);
    if (core.length <= MAX_CORE_BYTES && core.length > SECTOR_BYTES) return core;
    const message = `${tool} made a GRUB of ${String(core.length)} bytes, which no BIOS can load`;
    throw new ImageUnpackerError('TOOL_FAILED', message);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function missing(message: string): ImageUnpackerError {
  return new ImageUnpackerError('TOOL_MISSING', message);
}
