import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { LocalTarget } from '../../src/cloud/local/local-target.js';
import { resume } from '../../src/publisher/resume.js';
import { rollback } from '../../src/publisher/rollback.js';
import { runs } from '../../src/publisher/runs.js';
import { localTarget } from '../../src/publisher/target.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { diskOf, filesOf, Shop, STREAM } from './shop.js';

/*
 * A publisher that is killed at any moment leaves nothing that the next one does not put right: by resuming the
 * run, by publishing again, or by rolling it back.
 */

const program = fileURLToPath(new URL('fixture/publish-and-die.ts', import.meta.url));
const TARGETS = ['raw', 'qcow2'] as const;

/** Publishes revision 2 in a process that is killed at its nth moment; returns whether it got to its end. */
function publishAndDie(t: ExecutionContext, directory: string, moment: number): boolean {
  const child = spawnSync(process.execPath, ['--import=tsx', program, directory, '2', String(moment)], {
    encoding: 'utf8',
  });
  if (child.signal === 'SIGKILL') return false;
  t.is(child.stdout, 'done\n', child.stderr);
  return true;
}

/** A directory in which revision 1 is published. */
async function prepare(t: ExecutionContext): Promise<string> {
  const directory = temporaryDirectory(t);
  const shop = await Shop.open(directory);
  const targets = TARGETS.map(format => localTarget(shop.path(format), format));
  t.true((await shop.publish(1, { targets })).every(row => row.Error === undefined));
  await shop.store.close();
  return directory;
}

/** Looks at a target: exactly the revisions, their disks right, and no file of anything else. */
async function checkTarget(t: ExecutionContext, path: string, leaves: readonly number[], about: string) {
  const target = await LocalTarget.open(path, { format: 'raw', write: false });
  const images = await target.images();
  t.deepEqual(
    images.map(({ tags }) => tags['ImageName']),
    leaves.map(leaf => `${STREAM}/${String(leaf)}`),
    about,
  );
  for (const [at, { id }] of images.entries()) {
    t.deepEqual(await target.readBack(id), diskOf(leaves[at]!).map, about);
  }
  const files = images.flatMap(({ id, path: disk }) => [
    disk!.split('/').at(-1)!,
    `registry/${id}`,
    `registry/${id}.map`,
  ]);
  t.deepEqual(filesOf(path), [...files, 'registry', 'registry/format', 'registry/lock'].sort(), about);
}

/** Makes the directory `to` what `from` is, times included. */
function restore(from: string, to: string): void {
  spawnSync('rm', ['-rf', to]);
  spawnSync('cp', ['-a', from, to]);
}

type PutRight = (shop: Shop, run: string | undefined) => Promise<readonly { Error?: string }[]>;

async function publishAgain(shop: Shop) {
  const targets = TARGETS.map(format => localTarget(shop.path(format), format));
  return shop.publish(2, { targets });
}

const WAYS: [way: string, leaves: readonly number[], putRight: PutRight][] = [
  ['resumed', [1, 2], (shop, run) => (run === undefined ? publishAgain(shop) : resume(run, shop.options))],
  ['published again', [1, 2], publishAgain],
  ['rolled back', [1], (shop, run) => (run === undefined ? Promise.resolve([]) : rollback(run, shop))],
];

/** So many tests share the moments, so that each is done in a time that can be waited for. */
const PARTS = 3;
const STEP = 4;

for (let part = 0; part < PARTS; part++) {
  const which = `${String(part + 1)} of ${String(PARTS)}`;
  test(`a publisher that is killed at any moment leaves what can be put right in each way: ${which}`, async t => {
    t.true((await tryMoments(t, part)) > 2);
  });
}

/** Tries every `PARTS`th moment; resolves to how many there were. */
async function tryMoments(t: ExecutionContext, part: number): Promise<number> {
  const directory = await prepare(t);
  const [prepared, died] = [`${directory}-prepared`, `${directory}-died`];
  t.teardown(() => spawnSync('rm', ['-rf', prepared, died]));
  restore(directory, prepared);
  let killed = 0;
  for (let moment = part * STEP; !publishAndDie(t, directory, moment); moment += PARTS * STEP) {
    killed++;
    restore(directory, died);
    for (const [way, leaves, putRight] of WAYS) {
      restore(died, directory);
      const shop = await Shop.open(directory);
      const run = (await runs(shop)).find(({ State }) => State === 'interrupted')?.Run;
      const about = `killed at ${String(moment)}, ${way}`;
      for (const { Error: error } of await putRight(shop, run)) t.is(error, undefined, about);
      for (const format of TARGETS) await checkTarget(t, shop.path(format), leaves, about);
      await shop.store.close();
    }
    restore(prepared, directory);
  }
  return killed;
}
