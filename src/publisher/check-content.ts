import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import { Ext4Check } from '../image/ext4-limits.js';
import { compareManifests } from '../store/compare.js';
import { ManifestReader } from '../store/manifest-reader.js';
import type { ImageRecord, Store } from '../store/store.js';
import type { SurveyedTarget } from './survey-all.js';

/**
 * Checks that a volume can hold an image. Of one that a target has a revision of, only what differs is looked at: what
 * was published could be held. Throws `IMAGE_UNSUPPORTED` naming the entries that cannot be, `IMAGE_INVALID`,
 * `STORE_DAMAGED`.
 */
export async function checkContent(
  store: Store,
  image: ImageRecord,
  surveys: readonly SurveyedTarget[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const want = await ManifestReader.open(store, Buffer.from(image.digest, 'hex'));
  const have = await anyParent(store, surveys);
  const check = new Ext4Check();
  if (have === undefined) for await (const entry of want.entries()) check.add(entry);
  else for await (const change of compareManifests(have, want, { signal })) check.add(change.want?.entry);
  check.finish(image.name);
}

/** The manifest of an image that was published before, if the store has all of it. */
async function anyParent(
  store: Store,
  surveys: readonly SurveyedTarget[],
): Promise<ManifestReader | undefined> {
  const digests = new Set<string>();
  for (const { survey } of surveys) {
    const digest = survey?.kind === 'publish' ? survey.parent?.tags[TAG.imageDigest] : undefined;
    if (digest !== undefined) digests.add(digest);
  }
  for (const digest of digests) {
    const manifest = await openWhole(store, Buffer.from(digest, 'hex'));
    if (manifest !== undefined) return manifest;
  }
  return undefined;
}

/** Of an image that was deleted, not all pages need be there any more. */
async function openWhole(store: Store, digest: Buffer): Promise<ManifestReader | undefined> {
  try {
    const manifest = await ManifestReader.open(store, digest);
    const pages = await store.has(manifest.index.pages.map(page => page.digest));
    return pages.every(Boolean) ? manifest : undefined;
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED') return undefined;
    throw reason;
  }
}
