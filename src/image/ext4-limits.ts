import type { Entry } from './entry.js';
import { ImageUnpackerError } from './error.js';
import type { Ext4XattrRoom } from './ext4-xattrs.js';
import { fitExt4, OUR_XATTR_ROOM } from './ext4-xattrs.js';
import { displayBytes, displayPath } from './path.js';
import { nanosecondsOf, secondsOf, showTime } from './time.js';

/*
 * What an image can have and an ext4 file system cannot hold (fs/ext4, Linux 6):
 *
 *   times   seconds from -2^31 to 2^34 - 2^31 - 1, the first and the last of them without nanoseconds. In inodes of 128
 *           bytes up to 2^31 - 1, without nanoseconds. The kernel says nothing of others, and keeps the nearest
 *   sizes   2^32 - 1 blocks of 4096 bytes
 *   xattrs  as ext4-xattrs.ts says
 *   names   but for `lost+found` in the root, which is the file system's own
 *
 * Other names, targets of symbolic links, owners, device numbers and the count of hard links are within what ext4 holds
 * wherever they are within what an image holds.
 */

/** What of an ext4 file system decides what it can hold. */
export type Ext4Limits = Ext4XattrRoom;

/** The limits of the file systems that are made here. */
export const OUR_LIMITS: Ext4Limits = OUR_XATTR_ROOM;

/** The directory that e2fsck needs. */
export const LOST_AND_FOUND = Buffer.from('lost+found');

/** The largest file, in bytes. */
export const MAX_EXT4_FILE_BYTES = (2n ** 32n - 1n) * 4096n;

const FIRST_SECOND = -(2n ** 31n);
const LAST_SECOND = 2n ** 34n + FIRST_SECOND - 1n;
const LAST_SECOND_OF_SMALL = 2n ** 31n - 1n;
/** Inodes with so many bytes of fields have the further bits of the modification time (i_mtime_extra). */
const WIDE_TIMES_BYTES = 0x8c;
/** So many entries are named; more of them would be no help. */
const MOST_DETAILS = 100;

/** Says what keeps an ext4 file system from holding an entry, or undefined if nothing does. */
export function ext4Fault(entry: Entry, limits: Ext4Limits): string | undefined {
  if (entry.path.equals(LOST_AND_FOUND)) return "is the file system's own";
  if (entry.type === 'link') return undefined;
  if (!isHeldTime(entry.mtime, limits)) {
    const wide = limits.fieldBytes >= WIDE_TIMES_BYTES;
    const range = wide ? '1901-12-13 and 2446-05-10' : '1901-12-13 and 2038-01-19, in whole seconds';
    return `has a modification time, ${showTime(entry.mtime)} s since 1970, that is not between ${range}`;
  }
  if (entry.type === 'file' && entry.size > MAX_EXT4_FILE_BYTES)
    return `has ${String(entry.size)} bytes; a file has at most ${String(MAX_EXT4_FILE_BYTES)}`;
  if (entry.xattrs.length > 0 && !fitExt4(entry.xattrs, limits)) {
    const names = entry.xattrs.map(({ name, value }) => `${displayBytes(name)} (${String(value.length)})`);
    return `has extended attributes that do not fit in an inode and a block of 4096 bytes: ${names.join(', ')}`;
  }
  return undefined;
}

/** Collects what of an image an ext4 file system cannot hold. */
export class Ext4Check {
  readonly #limits: Ext4Limits;
  readonly #faults: string[] = [];
  #count = 0;
  #first: string | undefined;

  constructor(limits: Ext4Limits = OUR_LIMITS) {
    this.#limits = limits;
  }

  add(entry: Entry | undefined): void {
    const fault = entry && ext4Fault(entry, this.#limits);
    if (entry === undefined || fault === undefined) return;
    const path = displayPath(entry.path);
    this.#first ??= path;
    if (this.#count++ < MOST_DETAILS) this.#faults.push(`${path} ${fault}`);
  }

  /** Throws `IMAGE_UNSUPPORTED` naming the entries that cannot be held, if there are any. */
  finish(image: string): void {
    if (this.#first === undefined) return;
    const others = this.#count === 1 ? '' : ` (and ${String(this.#count - 1)} more)`;
    const details = this.#count === 1 ? {} : { details: this.#faults };
    throw new ImageUnpackerError(
      'IMAGE_UNSUPPORTED',
      `An ext4 file system cannot hold the image ${image}: ${this.#faults[0]!}${others}; change that in its source and build it again`,
      { image, path: this.#first, ...details },
    );
  }
}

function isHeldTime(mtime: bigint, { fieldBytes }: Ext4Limits): boolean {
  const [seconds, isWhole] = [secondsOf(mtime), nanosecondsOf(mtime) === 0];
  if (fieldBytes < WIDE_TIMES_BYTES)
    return isWhole && seconds >= FIRST_SECOND && seconds <= LAST_SECOND_OF_SMALL;
  if (isWhole) return seconds >= FIRST_SECOND && seconds <= LAST_SECOND;
  return seconds > FIRST_SECOND && seconds < LAST_SECOND;
}
