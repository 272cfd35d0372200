import { createHash } from 'node:crypto';
import { join } from 'node:path';

/*
 * A directory that images are published to.
 *
 *   DIR/local-0123456789abcdef0.qcow2          the disk of an image, mode 0444
 *   DIR/.local-0123456789abcdef0.qcow2.part    a disk that is being written
 *   DIR/registry/format                        one line: what this directory is, and in which version
 *   DIR/registry/lock                          flock: exclusive for who changes anything
 *   DIR/registry/local-0123456789abcdef0       the record of a disk and its image, sealed (record.ts)
 *   DIR/registry/local-0123456789abcdef0.map   its disk map (image/disk-map.ts)
 *
 * The record is written before the disk is begun and removed after the disk is gone, so that every file of ours
 * has a record at any time; nothing is ever removed because of its name alone.
 */

export const FORMAT_LINE = 'image-unpacker registry 1\n';
export const REGISTRY = 'registry';
export const FORMAT_FILE = join(REGISTRY, 'format');
export const LOCK_FILE = join(REGISTRY, 'lock');

/** What disks are written as. */
export type DiskFormatName = 'raw' | 'qcow2';

const ID = /^local-[0-9a-f]{17}$/;
const ID_DIGITS = 17;

/** Whether `text` is the id of a local image. */
export function isImageId(text: string): boolean {
  return ID.test(text);
}

/** The id of what is made under a token. */
export function idOf(token: string): string {
  return `local-${createHash('sha256').update(token).digest('hex').slice(0, ID_DIGITS)}`;
}

export function recordPath(directory: string, id: string): string {
  return join(directory, REGISTRY, id);
}

export function mapPath(directory: string, id: string): string {
  return join(directory, REGISTRY, `${id}.map`);
}

export function diskPath(directory: string, id: string, format: DiskFormatName): string {
  return join(directory, `${id}.${format}`);
}

export function partialPath(directory: string, id: string, format: DiskFormatName): string {
  return join(directory, `.${id}.${format}.part`);
}
