import { baseName } from '../../image/path.js';
import { unsupported } from '../fault.js';

/*
 * What a layer says of the layers below it (OCI image format, "Whiteouts"):
 *
 *   DIR/.wh.NAME        there is no NAME in DIR any more
 *   DIR/.wh..wh..opq    there is nothing in DIR any more
 *
 * Both are about the layers below, wherever in the layer they stand; what the layer itself has there stays.
 */

const PREFIX = Buffer.from('.wh.');
const OPAQUE = '.wh..wh..opq';
const OF_AUFS = '.wh..wh.';

/** What an entry of a layer hides: a path, or all that is in a directory. */
export interface Whiteout {
  kind: 'path' | 'children';
  path: Buffer;
}

/**
 * What the entry at `path` hides; undefined if it is content. Throws `SOURCE_UNSUPPORTED` for names that only look like
 * a whiteout.
 */
export function whiteoutOf(path: Buffer): Whiteout | undefined {
  if (!path.includes(PREFIX)) return undefined;
  const base = baseName(path);
  const parent = path.subarray(0, Math.max(path.length - base.length - 1, 0));
  if (
    parent
      .toString('latin1')
      .split('/')
      .some(name => name.startsWith('.wh.'))
  )
    throw unsupported(path, 'lies below a name that begins with .wh., which marks what a layer hides');
  const name = base.toString('latin1');
  if (!name.startsWith('.wh.')) return undefined;
  if (name === OPAQUE) return { kind: 'children', path: parent };
  const hidden = base.subarray(PREFIX.length);
  if (name.startsWith(OF_AUFS)) throw unsupported(path, 'is of the file system AUFS and of no layer');
  if (hidden.length === 0 || name === '.wh..' || name === '.wh...')
    throw unsupported(path, 'hides nothing that can be there');
  return {
    kind: 'path',
    path: parent.length === 0 ? hidden : Buffer.concat([parent, Buffer.from('/'), hidden]),
  };
}
