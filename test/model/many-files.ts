import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';

/** A tree of so many files in directories of a hundred, each with data of its own: several pages of entries. */
export function manyFiles(count: number): Entry[] {
  const common = { uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };
  const entries: Entry[] = [{ type: 'directory', path: Buffer.alloc(0), mode: 0o755, ...common }];
  for (let number = 0; number < count; number++) {
    const directory = `d${String(Math.floor(number / 100)).padStart(4, '0')}`;
    if (number % 100 === 0) {
      entries.push({ type: 'directory', path: Buffer.from(directory), mode: 0o755, ...common });
    }
    const path = Buffer.from(`${directory}/f${String(number % 100).padStart(2, '0')}`);
    const file = { size: 1n, holes: [], digest: sha512(path), names: [] };
    entries.push({ type: 'file', path, mode: 0o644, ...common, ...file });
  }
  return entries;
}
