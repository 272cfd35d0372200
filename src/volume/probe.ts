import { ImageUnpackerError } from '../image/error.js';
import type { BlockDevice } from './device.js';
import { isOurs } from './identity.js';
import type { Superblock } from './superblock.js';
import { readSuperblock } from './superblock.js';
import { runTool } from './tool.js';

/** What is on a device. */
export type Content =
  | { kind: 'ours'; superblock: Superblock }
  /** Nothing that is known; the device need not be zeros. */
  | { kind: 'blank' }
  | { kind: 'foreign'; what: string };

/** blkid's exit status when it finds nothing. */
const BLKID_NOTHING = 2;

/** Says what is on a device. Throws `TOOL_MISSING` when that cannot be told. */
export async function probeDevice(device: BlockDevice, signal?: AbortSignal): Promise<Content> {
  const superblock = await readSuperblock(device.file);
  if (superblock !== undefined && isOurs(superblock.hashSeed)) return { kind: 'ours', superblock };
  const path = `/proc/${String(process.pid)}/fd/${String(device.file.fd)}`;
  const { status, output } = await runTool('blkid', ['--probe', '--output', 'export', path], signal);
  if (status === BLKID_NOTHING) return { kind: 'blank' };
  const [, type] = /^(?:TYPE|PTTYPE)=(.*)$/m.exec(output) ?? [];
  return { kind: 'foreign', what: type ?? 'several signatures at once' };
}

/** Throws unless a device may be made ours: it is blank or foreign, and the caller said to format it. */
export function checkMayFormat(device: BlockDevice, content: Content, format: boolean): void {
  if (content.kind === 'ours' || format) return;
  const { path } = device;
  if (content.kind === 'blank') {
    throw new ImageUnpackerError(
      'DEVICE_BLANK',
      `${path} holds no file system of ours; say --format to make one`,
      {
        device: path,
      },
    );
  }
  throw new ImageUnpackerError(
    'DEVICE_FOREIGN',
    `${path} holds something else (${content.what}); say --format to give it up and make a file system of ours`,
    { device: path },
  );
}
