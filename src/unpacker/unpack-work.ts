import { ImageUnpackerError } from '../image/error.js';
import type { ProgressSink } from '../image/progress.js';
import type { UnpackResult } from '../rpc/unpacker.js';
import { connectStore } from '../rpc/connect-store.js';
import { checkSignature, parseTrustedKeys } from '../store/signature.js';
import type { ImageRecord } from '../store/store.js';
import { applyImage } from '../volume/apply.js';
import { StateDirectory } from '../volume/state-directory.js';
import { withVolume } from './volume-place.js';
import type { UnpackWork } from './work.js';

/** Makes a volume an image. */
export async function runUnpack(
  work: UnpackWork,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<UnpackResult> {
  const store = await connectStore(work.store, {
    signal,
    limits: work.limits,
    cache: work.cache,
    certs: work.certs,
  });
  try {
    const image = await store.image(work.image);
    checkDigest(image, work.digest);
    // Before anything is written.
    if (work.trustedKeys !== undefined)
      checkSignature(image, parseTrustedKeys(work.trustedKeys, 'trustedKeys'));
    return await withVolume(work.volume, image.bytes, async device => {
      const state = StateDirectory.inherited(work.stateDirectory);
      // One that holds something is given up by a person, not by a call.
      const format = work.format ? 'blank' : false;
      return applyImage({
        device,
        image,
        store,
        state,
        ...work.settings,
        verify: 'auto',
        format,
        scrub: work.scrub,
        progress,
        signal,
      });
    });
  } finally {
    await store.close();
  }
}

function checkDigest({ name, digest }: ImageRecord, wanted: string): void {
  if (digest === wanted) return;
  throw new ImageUnpackerError(
    'IMAGE_UNKNOWN',
    `The image ${name} in the agent's store is another one than was asked for: its digest is ${digest}; let both use one store`,
    { image: name, digest: wanted },
  );
}
