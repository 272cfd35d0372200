import { gunzipSync } from 'node:zlib';
import type { Architecture } from './options.js';

/*
 * For which machines a kernel or a program is, told by its first bytes: the Linux boot protocol of x86, the image
 * header of arm64, the machine field of a PE or an ELF file.
 */

/** What has to be read of a file. */
export const HEAD_BYTES = 4096;
/** A kernel that is compressed as a whole may say nothing within its first bytes. */
const UNPACKED_BYTES = 1 << 16;

const ELF_MACHINES: Readonly<Record<number, Architecture>> = { 62: 'x86_64', 183: 'arm64' };
const PE_MACHINES: Readonly<Record<number, Architecture>> = { 0x8664: 'x86_64', 0xaa64: 'arm64' };

/** The architecture of a kernel; undefined when it is none that is known here. */
export function kernelArchitecture(kernel: Buffer): Architecture | undefined {
  const head = kernel[0] === 0x1f && kernel[1] === 0x8b ? unpacked(kernel) : kernel.subarray(0, HEAD_BYTES);
  if (head.length < 0x210) return undefined;
  if (head.toString('latin1', 0x38, 0x3c) === 'ARMd') return 'arm64';
  const pe = peArchitecture(head);
  if (pe !== undefined) return pe;
  // Bit 0 of xloadflags: it has a 64-bit entry point.
  const isLinux = head.toString('latin1', 0x202, 0x206) === 'HdrS';
  if (isLinux && head.readUInt16LE(0x206) >= 0x20c) return (head[0x236]! & 1) === 1 ? 'x86_64' : undefined;
  return programArchitecture(head);
}

/** The architecture of an ELF file; undefined for other files and other machines. */
export function programArchitecture(head: Buffer): Architecture | undefined {
  if (head.length < 20 || head.toString('latin1', 0, 4) !== '\x7fELF') return undefined;
  return ELF_MACHINES[head.readUInt16LE(18)];
}

/** The architecture of a program for UEFI. */
export function peArchitecture(head: Buffer): Architecture | undefined {
  if (head.length < 64 || head.toString('latin1', 0, 2) !== 'MZ') return undefined;
  const at = head.readUInt32LE(0x3c);
  if (at + 6 > head.length || head.toString('latin1', at, at + 4) !== 'PE\0\0') return undefined;
  return PE_MACHINES[head.readUInt16LE(at + 4)];
}

function unpacked(kernel: Buffer): Buffer {
  try {
    // The beginning suffices, and is not followed by the end that gunzip would want.
    return gunzipSync(kernel.subarray(0, UNPACKED_BYTES), { finishFlush: 2 });
  } catch {
    return Buffer.alloc(0);
  }
}
