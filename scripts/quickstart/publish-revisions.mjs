import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { call } from './programs.mjs';
import { revise } from './revise.mjs';

/** Where the quickstart keeps what it works with, from one run to the next, so that its commands can be tried after it. */
export function placesOf(kept) {
  return {
    store: join(kept, 'store'),
    state: join(kept, 'state'),
    targets: join(kept, 'targets.yaml'),
    results: join(kept, 'results.json'),
  };
}

/**
 * Makes an image of `source` and publishes it; changes a copy of it, and publishes that as well. Resolves to
 * what `imagetool build` and `ami-publisher publish` say of each of the two.
 */
export async function publishRevisions({ source, stream, published, kept, work, steps, signal }) {
  const places = placesOf(kept);
  // JSON is YAML too, and knows how to quote a path.
  const targets = { targets: [{ local: published, format: 'qcow2' }] };
  writeFileSync(places.targets, `${JSON.stringify(targets, undefined, 2)}\n`);
  const shop = { stream, places, steps, signal };
  const first = await makeRevision(shop, 'first', source);
  const { release, changes } = await steps.run(
    'Changing a copy as a new release would',
    () => makeRelease(shop, first.image.name, join(work, 'tree')),
    () => '',
  );
  const second = await makeRevision(shop, 'second', join(work, 'tree'));
  writeFileSync(places.results, `${JSON.stringify([...first.rows, ...second.rows], undefined, 2)}\n`);
  return { first, second, release, changes };
}

async function makeRevision({ stream, places, steps, signal }, which, source) {
  const { showCount, showSize } = await import('../../dist/cli/show.js');
  // To the millisecond: two runs may well make images within a second.
  const leaf = new Date().toISOString();
  const image = await steps.run(
    `Building the ${which} image`,
    () =>
      call('imagetool', ['build', `${stream}/${leaf}`, '--from', source, '--store', places.store], signal),
    ({ entries, bytes, newBytes }) =>
      `${showCount(entries)} entries, ${showSize(bytes)}, of which ${showSize(newBytes)} are new`,
  );
  const where = ['--targets', places.targets, '--store', places.store, '--state-dir', places.state];
  const rows = await steps.run(
    'Publishing it',
    () => call('ami-publisher', ['publish', stream, leaf, ...where], signal),
    ([{ Path, AlreadyPublished }]) => (AlreadyPublished ? `${Path}, as it was already` : Path),
  );
  return { leaf, image, rows };
}

async function makeRelease({ places, signal }, image, tree) {
  await call('imagetool', ['extract', image, tree, '--store', places.store], signal);
  const release = new Date().toISOString().replace(/\D/g, '');
  return { release, changes: revise(tree, release) };
}
