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

/** blkid's exit status when it finds nothing, and when it finds what contradicts itself. */
const BLKID_NOTHING = 2;
const BLKID_AMBIVALENT = 8;

/** Says what is on a device. Throws `TOOL_MISSING` when that cannot be told. */
export async function probeDevice(device: BlockDevice, signal?: AbortSignal): Promise<Content> {
  const superblock = await readSuperblock(device.file);
  if (superblock !== undefined && isOurs(superblock.hashSeed)) return { kind: 'ours', superblock };
  const path = `/proc/${String(process.pid)}/fd/${String(device.file.fd)}`;
  const { status, output } = await runTool('blkid', ['--probe', '--output', 'export', path], signal);
  if (status === BLKID_NOTHING) return { kind: 'blank' };
  const [, type] = /^(?:TYPE|PTTYPE)=(.*)$/m.exec(output) ?? [];
  if (type !== undefined) return { kind: 'foreign', what: type };
  if (status === BLKID_AMBIVALENT) return { kind: 'foreign', what: 'several signatures at once' };
  // What else it tells of a partition stands in the table.
  return { kind: 'blank' };
}

/** Throws unless a device is ours, or may be made ours: any, or only one on which nothing is, as `format` says. */
export function checkMayFormat(path: string, content: Content, format: boolean | 'blank'): void {
  if (content.kind === 'ours' || format === true) return;
  if (content.kind === 'blank') {
    if (format === 'blank') return;
    throw new ImageUnpackerError(
      'DEVICE_BLANK',
      `${path} holds no file system of ours; say --format to make one`,
      { device: path },
    );
  }
  const remedy =
    format === 'blank'
      ? 'wipe it with wipefs --all, or apply an image to it with --format'
      : 'say --format to give it up and make a file system of ours';
  throw new ImageUnpackerError(
    'DEVICE_FOREIGN',
    `${path} holds something else (${content.what}); ${remedy}`,
    { device: path },
  );
}
