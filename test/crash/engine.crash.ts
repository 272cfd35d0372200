import test from 'ava';
import { tryFailingDisk } from './failing-disk.js';
import { tryForeignCrash } from './foreign-crash.js';
import { tryHeldMount } from './held-mount.js';
import { tryRestored } from './restored.js';
import { trying } from './seed.js';
import { tryShutdown } from './shutdown.js';

/* The disks and the file system beneath the engine. */

test.serial('a volume and a state directory that are not of one time are found out', async t => {
  t.truthy(await trying(t, tryRestored, 40));
});

test.serial("what was interrupted while somebody else's crash was repaired is read wholly", async t => {
  t.is((await trying(t, tryForeignCrash, 25)).moments, 25);
});

test.serial('a disk that fails is not taken for one that is done', async t => {
  t.truthy(await trying(t, tryFailingDisk, 80));
});

test.serial(
  'a file system that is shut down at any operation of a plan leaves a doubtful volume',
  async t => {
    t.truthy(await trying(t, tryShutdown, 50));
  },
);

test.serial('a volume that is still mounted is not called clean', async t => {
  t.truthy(await trying(t, tryHeldMount, 1));
});
