/*
 * How large the parts of an image may be. They bound what a reader of untrusted data must hold, and
 * are far above what any real tree has.
 */

/** Entries of an image: a page index of such an image is about 12 MiB. */
export const MAX_ENTRIES = 64_000_000;
/** The kernel's own limit for the value of one extended attribute (XATTR_SIZE_MAX). */
export const MAX_XATTR_VALUE_BYTES = 65_536;
/** The kernel's limit for the name of an extended attribute (XATTR_NAME_MAX). */
export const MAX_XATTR_NAME_BYTES = 255;
/** The kernel lists at most 64 KiB of names (XATTR_LIST_MAX); the shortest name takes eight bytes. */
export const MAX_XATTRS = 8192;
/** The longest symlink target that the kernel takes (PATH_MAX with its NUL). */
export const MAX_TARGET_BYTES = 4095;
/** ext4 allows 65,000 links to an inode. */
export const MAX_NAMES = 65_000;
/** Holes of one file; an entry with so many is about 8 MiB. */
export const MAX_HOLES = 2_000_000;
/** No file of a Linux file system is larger (the kernel's loff_t). */
export const MAX_FILE_BYTES = 2n ** 63n - 1n;
/** The longest encoded page, which is one entry with everything at its limit. */
export const MAX_PAGE_BYTES = 64 << 20;
/** The longest encoded index. */
export const MAX_INDEX_BYTES = 256 << 20;
