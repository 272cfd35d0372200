import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ImageUnpackerError } from '../../src/image/error.js';
import { silentProgress } from '../../src/image/progress.js';
import { plan } from '../../src/publisher/plan.js';
import { localTarget } from '../../src/publisher/target.js';
import type { Store } from '../../src/store/store.js';
import { verifyImage } from '../../src/store/verify.js';
import { extractImage } from '../../src/volume/extract.js';
import { storeHandMade } from '../model/hand-made.js';
import type { Hostile } from '../model/hostile-images.js';
import { fileAt, hostileImages, rootDirectory } from '../model/hostile-images.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * Images that nobody has built, whose digests are right and whose entries are not what an image can have: whoever
 * reads them must refuse them with the name of an entry, and change nothing.
 */

/** What verify says of an image: of an index or a page that is not valid, or of data. */
async function verified(store: Store, name: string): Promise<string> {
  const { faults } = await verifyImage(store, await store.image(name), { progress: silentProgress });
  return faults.map(({ state, why }) => why ?? state).join('\n');
}

async function errorOf(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await work;
  } catch (reason) {
    if (reason instanceof ImageUnpackerError) return reason;
    throw reason;
  }
  return { code: 'none', message: 'it was not refused' };
}

test('whatever is wrong with an image, it is refused with its name, and nothing is changed', async t => {
  const volume = await VolumeFixture.make(t);
  const { store } = volume;
  const good = await volume.image([rootDirectory, fileAt('a')]);
  const images: (Hostile & { name: string; refusal: string })[] = [];
  for (const [at, each] of hostileImages.entries()) {
    const name = `hostile/image/${String(at)}`;
    await storeHandMade(store, name, each.pages ?? [[rootDirectory, ...(each.entries ?? [])]], each.lies);
    images.push({ ...each, name, refusal: each.code ?? 'IMAGE_INVALID' });
  }
  const refused = async (
    work: Promise<unknown>,
    { what, message, refusal }: (typeof images)[number],
  ): Promise<void> => {
    const error = await errorOf(work);
    t.is(error.code, refusal, `${what}: ${error.message}`);
    t.regex(error.message, message, what);
  };
  for (const state of ['blank', 'made']) {
    const before = volume.bytes();
    for (const image of images) await refused(volume.apply(image.name), image);
    t.is(volume.bytes(), before, state);
    t.is((await volume.apply(good)).scan, 'none');
  }
  const [fresh, there] = [join(volume.directory, 'fresh'), join(volume.directory, 'there')];
  mkdirSync(there);
  const targets = [localTarget(join(volume.directory, 'published'))];
  for (const image of images) {
    const { what, name, message } = image;
    if (image.inData !== true) await refused(plan({ image: name, store, targets }), image);
    // What an ext4 file system cannot hold is no fault of the image.
    if (image.refusal === 'IMAGE_UNSUPPORTED') continue;
    t.regex(await verified(store, name), message, what);
    const record = await store.image(name);
    for (const at of [fresh, there])
      await refused(extractImage({ store, image: record, directory: at, progress: silentProgress }), image);
    t.false(existsSync(fresh), what);
    t.deepEqual(readdirSync(there), [], what);
  }
  t.false(existsSync(targets[0]!.directory));
});
