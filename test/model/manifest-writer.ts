import { ManifestWriter } from '../../src/image/manifest.js';
import { loadPathHash } from '../../src/image/path-hash.js';

const hash = await loadPathHash();

/** A writer of a manifest, as there is one wherever images are made. */
export function manifestWriter(): ManifestWriter {
  return new ManifestWriter(hash);
}
