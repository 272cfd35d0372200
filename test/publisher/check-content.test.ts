import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { checkContent } from '../../src/publisher/check-content.js';
import { plan } from '../../src/publisher/plan.js';
import type { SurveyedTarget } from '../../src/publisher/survey-all.js';
import { localTarget } from '../../src/publisher/target.js';
import { manyFiles } from '../model/many-files.js';
import { storeImage } from '../model/stored-image.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { contentOf, Shop, STREAM } from './shop.js';

/*
 * An image that no volume can hold is refused before anything is written anywhere, by plan and by publish.
 */

async function open(t: ExecutionContext) {
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  return { shop, targets: [localTarget(shop.path('raw')), localTarget(shop.path('other'))] };
}

/** A tree that no ext4 file system can hold, for one entry. */
function tooLate(): Entry[] {
  const entries = manyFiles(3);
  return entries.with(-1, { ...entries.at(-1)!, mtime: 10n ** 21n } as Entry);
}

const refusal = { code: 'IMAGE_UNSUPPORTED', message: /\/d0000\/f02 has a modification time/ };

for (const published of [false, true]) {
  test(`an image that cannot be held is refused ${published ? 'as a revision' : 'as a first one'}`, async t => {
    const { shop, targets } = await open(t);
    await storeImage(shop.store, `${STREAM}/8`, tooLate());
    if (published) await shop.publish(1, { targets });
    shop.unpacker.calls.length = 0;
    const before = contentOf(shop.directory);
    await t.throwsAsync(plan({ image: `${STREAM}/8`, store: shop.store, targets }), refusal);
    await t.throwsAsync(shop.publish(8, { targets }), refusal);
    t.deepEqual(contentOf(shop.directory), before);
    t.deepEqual(shop.unpacker.calls, []);
  });
}

test('where a revision was published, only what differs from it is looked at, if it is known', async t => {
  const { shop } = await open(t);
  const { store } = shop;
  const parent = await storeImage(store, `${STREAM}/8`, tooLate());
  const image = await storeImage(
    store,
    `${STREAM}/9`,
    tooLate().with(1, { ...tooLate()[1]!, mode: 0o700 } as Entry),
  );
  const survey = { kind: 'publish', parent: { tags: { ImageDigest: parent.digest } } };
  const surveys = [{ survey }] as unknown as SurveyedTarget[];
  await t.notThrowsAsync(checkContent(store, image, surveys, undefined));
  rmSync(join(store.location, 'objects/sha512', parent.digest.slice(0, 2), parent.digest));
  await t.throwsAsync(checkContent(store, image, surveys, undefined), refusal);
});
