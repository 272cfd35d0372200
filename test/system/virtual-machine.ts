import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { needs } from '../needs.js';
import type { Architecture } from '../../src/volume/boot/options.js';

/*
 * Boots disks in QEMU, without hardware acceleration: that /dev/kvm is there does not mean that it works. What is on
 * the disk stays as it is.
 */

/** How a disk is booted. */
export interface Machine {
  disk: string;
  format: 'raw' | 'qcow2';
  bus: 'nvme' | 'virtio';
  firmware: 'bios' | 'uefi';
  architecture?: Architecture;
  /** Several disks on one machine: those after the first. */
  others?: string[];
}

/** Where Debian's packages put firmware: its code, and its variables. */
const FIRMWARE: Readonly<Record<Architecture, { code: string; variables?: string }>> = {
  x86_64: { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
  arm64: { code: '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd' },
};
const PROGRAMS: Readonly<Record<Architecture, string>> = {
  x86_64: 'qemu-system-x86_64',
  arm64: 'qemu-system-aarch64',
};
/** What the console says when it is of no use to wait any longer. */
const FAILURE =
  /Kernel panic|grub rescue>|grub> |UEFI Interactive Shell|Shell>|No bootable device|\(initramfs\)|no root|emergency mode|error: no such partition/;
/** A boot takes 10 to 50 s on a machine that does nothing else. */
const BOOT_SECONDS = Number(process.env['BOOT_SECONDS'] ?? 420);
const TAIL = 3000;

/** Why no machine of that kind can be had here, or undefined when one can. */
export function machineFault(architecture: Architecture = 'x86_64'): string | undefined {
  const program = PROGRAMS[architecture];
  if (spawnSync(program, ['--version']).error !== undefined) return `${program} is not installed`;
  const { code } = FIRMWARE[architecture];
  return existsSync(code) ? undefined : `there is no firmware ${code} (packages ovmf, qemu-efi-aarch64)`;
}

/**
 * What declares a test that boots: it is skipped, loudly, where something is missing, and where that is not to be it
 * is a failure.
 */
export function bootTest(
  fault: string | undefined,
): (title: string, work: (t: ExecutionContext) => Promise<void>) => void {
  if (fault === undefined) return test.serial;
  return needs('booting disks', { fault, required: 'REQUIRE_BOOT' });
}

/**
 * Boots a disk until the console has said what fits `marker`, and returns what follows that in its line. Throws, with
 * the end of what was said, as soon as it is clear that it will not.
 */
export async function boot(machine: Machine, marker: RegExp): Promise<string> {
  const { architecture = 'x86_64' } = machine;
  const child = spawn(PROGRAMS[architecture], parametersOf(machine), { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  const timer = setTimeout(() => child.kill('SIGKILL'), BOOT_SECONDS * 1000);
  const decoder = new StringDecoder('utf8');
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  try {
    for await (const bytes of child.stdout) {
      said += decoder.write(bytes as Buffer).replaceAll('\r', '');
      const [line] = new RegExp(`(?:${marker.source}).*\n`).exec(said) ?? [];
      if (line !== undefined) return line.trim();
      if (FAILURE.test(said)) break;
    }
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
    await closed;
  }
  throw new Error(`${JSON.stringify(machine)} did not boot. The end of what it said:\n${said.slice(-TAIL)}`);
}

function parametersOf({
  disk,
  format,
  bus,
  firmware,
  architecture = 'x86_64',
  others = [],
}: Machine): string[] {
  const { code, variables } = FIRMWARE[architecture];
  const flash = (unit: number, file: string, more: string): string[] => [
    '-drive',
    `if=pflash,format=raw,unit=${String(unit)},file=${file},${more}`,
  ];
  const machine =
    architecture === 'arm64'
      ? ['-machine', 'virt', '-cpu', 'cortex-a57', '-bios', code]
      : firmware === 'bios'
        ? []
        : ['-machine', 'q35', ...flash(0, code, 'readonly=on'), ...flash(1, variables!, 'snapshot=on')];
  const drives = [disk, ...others].flatMap((file, at) => {
    const id = `disk${String(at)}`;
    const device = bus === 'nvme' ? `nvme,drive=${id},serial=vol${String(at)}` : `virtio-blk-pci,drive=${id}`;
    return [
      '-drive',
      `file=${file},format=${format},if=none,id=${id},snapshot=on`,
      '-device',
      `${device},bootindex=${String(at)}`,
    ];
  });
  return [
    ...['-accel', 'tcg,thread=multi', '-smp', '2', '-m', '768', '-no-reboot'],
    ...['-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-nic', 'none'],
    ...machine,
    ...drives,
  ];
}
