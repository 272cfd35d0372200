import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';

const common = { mode: 0o755, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };

/** A tree of one file. */
export function treeOf(text: string): Entry[] {
  const data = { size: BigInt(text.length), holes: [], digest: sha512(Buffer.from(text)), names: [] };
  return [
    { ...common, type: 'directory', path: Buffer.alloc(0) },
    { ...common, type: 'file', path: Buffer.from(`file-${text}`), ...data },
  ];
}
