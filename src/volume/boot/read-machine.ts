import { ImageUnpackerError } from '../../image/error.js';
import { displayPath } from '../../image/path.js';
import { HEAD_BYTES, kernelArchitecture, programArchitecture } from './architecture.js';
import type { Kernel } from './find-kernels.js';
import { findKernels, loaderPath } from './find-kernels.js';
import type { ImageFiles } from './image-files.js';
import type { Architecture, BootOptions } from './options.js';

/** No kernel is larger. */
const MAX_KERNEL_BYTES = 256 << 20;
const MAX_PROGRAM_BYTES = 64 << 20;
/** Programs that tell for which machines all the others are. */
const PROGRAMS = ['/sbin/init', '/usr/lib/systemd/systemd', '/bin/sh', '/usr/bin/env', '/bin/busybox'];

/** The kernels of an image that can be started, the latest first, and what they are for. */
export interface Machine {
  architecture: Architecture;
  kernels: Kernel[];
}

/**
 * Finds the kernels of an image. Throws `IMAGE_UNSUPPORTED` when there is none, when the latest has no initrd and
 * that is not asked for, or when kernels and programs are for different machines.
 */
export async function readMachine(files: ImageFiles, options: BootOptions): Promise<Machine> {
  const found = (await findKernels(files)).filter(({ file, initrds }) =>
    [file, ...initrds].every(({ path }) => loaderPath(path) !== undefined),
  );
  if (found.length === 0)
    throw unsupported(
      'has no kernel in /boot or /usr/lib/modules',
      'say --no-boot for a disk that does not boot',
    );
  const { architecture, kernels } = await ofOneArchitecture(files, found, options.architecture);
  await checkPrograms(files, architecture);
  if (options.initrd === false) return { architecture, kernels };
  const [latest] = kernels as [Kernel];
  if (latest.initrds.length === 0) {
    const path = displayPath(latest.file.path);
    throw unsupported(
      `has no initrd for its latest kernel ${path}`,
      'make one, or say --no-initrd for a kernel that needs none',
    );
  }
  return { architecture, kernels: kernels.filter(({ initrds }) => initrds.length > 0) };
}

async function ofOneArchitecture(
  files: ImageFiles,
  found: readonly Kernel[],
  wanted: Architecture | undefined,
): Promise<Machine> {
  const byArchitecture = new Map<Architecture, Kernel[]>();
  for (const kernel of found) {
    const its = kernelArchitecture(await files.read(kernel.file, MAX_KERNEL_BYTES));
    if (its !== undefined) byArchitecture.set(its, [...(byArchitecture.get(its) ?? []), kernel]);
  }
  if (byArchitecture.size > 1 && wanted === undefined) {
    const names = [...byArchitecture.keys()].join(' and ');
    throw unsupported(`has kernels for ${names}`, 'build an image for each, or say --architecture');
  }
  const architecture = wanted ?? [...byArchitecture.keys()][0];
  const kernels = architecture && byArchitecture.get(architecture);
  if (kernels !== undefined) return { architecture: architecture!, kernels };
  const path = displayPath(found[0]!.file.path);
  throw unsupported(
    `has no kernel for ${wanted ?? 'x86_64 or arm64'}: ${path} is none`,
    'say --no-boot for a disk that does not boot',
  );
}

async function checkPrograms(files: ImageFiles, architecture: Architecture): Promise<void> {
  for (const path of PROGRAMS) {
    const program = await files.file(path);
    if (program === undefined || program.entry.holes.length > 0) continue;
    const its = programArchitecture((await files.read(program, MAX_PROGRAM_BYTES)).subarray(0, HEAD_BYTES));
    if (its === undefined) continue;
    if (its === architecture) return;
    throw unsupported(
      `mixes architectures: its kernel is for ${architecture} and ${path} for ${its}`,
      'build it of one',
    );
  }
}

function unsupported(what: string, remedy: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_UNSUPPORTED', `The image ${what}; ${remedy}`);
}
