/** A hash of a path, 0 to 2^32 - 1. */
export type PathHash = (path: Uint8Array) => number;

let loading: Promise<PathHash> | undefined;

/**
 * XXH32 with the seed 0, which tells where the pages of a manifest are cut. It is loaded when a manifest is to be
 * written: it is WebAssembly, for which what only reads manifests need not wait.
 */
export function loadPathHash(): Promise<PathHash> {
  return (loading ??= load());
}

async function load(): Promise<PathHash> {
  const { default: xxhash } = await import('xxhash-wasm');
  const hash = await xxhash();
  return path => hash.h32Raw(path);
}
