/*
 * What a tar file may ask of its reader. Whoever wrote it may be hostile, so everything that is held
 * in memory has a bound; file data is never held, and has none but that of the whole file, which the user sets.
 */

/** A block, the unit of everything in a tar file. */
export const BLOCK_BYTES = 512;

/**
 * The longest body of a header that describes another (`x`, `g`, `L`, `K`). It holds fifteen xattrs
 * of the greatest size, a path of the greatest length many times over, and a sparse map 0.1 of some
 * 50,000 segments; GNU tar and Go refuse bodies above 1 MiB too.
 */
export const MAX_HEADER_BODY_BYTES = 1024 * 1024;

/** The most that global headers may set together: they are looked at again for every entry. */
export const MAX_GLOBAL_BYTES = 64 * 1024;

/** The most segments in a sparse map: 40 MB in memory, and 1 GiB of data even if each is one block. */
export const MAX_SPARSE_SEGMENTS = 262_144;

/** The longest name and value of an xattr that Linux takes (XATTR_NAME_MAX, XATTR_SIZE_MAX). */
export const MAX_XATTR_NAME_BYTES = 255;
export const MAX_XATTR_VALUE_BYTES = 65_536;

/** The longest target of a symlink: the kernel's PATH_MAX without its NUL. */
export const MAX_SYMLINK_BYTES = 4095;

/** The greatest size of a file: what the kernel's signed 64-bit offset reaches. */
export const MAX_FILE_SIZE = 2n ** 63n - 1n;

/** The greatest user and group id; the one above it means "leave as it is" to the kernel. */
export const MAX_OWNER_ID = 2n ** 32n - 2n;

/** How Linux numbers devices: 12 bits and 20 bits. */
export const MAX_DEVICE_MAJOR = 0xfffn;
export const MAX_DEVICE_MINOR = 0xfffffn;
