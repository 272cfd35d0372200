import type { Layer } from '../../../src/source/oci/find-image.js';
import { inChunks } from '../tar/archive.js';
import type { Piece } from './layout.js';
import { layerOf, sha256 } from './layout.js';

/** A layer in memory, not compressed. */
export function plainLayer(pieces: readonly Piece[]): Layer {
  const bytes = layerOf(pieces);
  const digest = `sha256:${sha256(bytes)}`;
  const file = { size: bytes.length, chunks: () => inChunks(bytes, 65_536) };
  return { name: digest, file, digest, diffId: digest };
}
