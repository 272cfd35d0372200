import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A digest of what a build is made from: `labels`, and every file at or below `paths`, by name and
 * content. Times of modification mean nothing in a fresh checkout, so they are not asked.
 */
export function digestOf(paths, labels = []) {
  const hash = createHash('sha256');
  for (const label of labels) hash.update(`${label}\0`);
  for (const path of paths.flatMap(filesBelow))
    hash.update(`${path}\0`).update(readFileSync(path)).update('\0');
  return hash.digest('hex');
}

function filesBelow(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap(name => filesBelow(join(path, name)));
}

/** Whether the build that left `stamp` behind was made from what `digest` says. */
export function isBuilt(stamp, digest) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === digest;
}

/** Says that the build beside `stamp` is complete. To be called last. */
export function markBuilt(stamp, digest) {
  writeFileSync(stamp, digest);
}
