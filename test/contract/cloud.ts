import type { ExecutionContext, TestFn } from 'ava';
import type { CloudTarget, ParentDisk, PublishedImage, Tags } from '../../src/cloud/cloud.js';
import { changedBlocks, diskDigest, DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { ModelDisk } from '../model/disk.js';

/** A target that is made for one test, without images. */
export interface TargetUnderTest {
  target: CloudTarget;
  /** The same target as another publisher finds it after the first one has ended. */
  reopen(this: void): Promise<CloudTarget>;
}

export type MakeTarget = (t: ExecutionContext) => Promise<TargetUnderTest>;

const SIZE = 40 * DISK_BLOCK_SIZE - 4096;
const FIRST = ModelDisk.of({ 0: 1, 1: 2, 7: 3, 8: 4, 39: 5 }, SIZE);
const SECOND = ModelDisk.of({ 0: 1, 1: 9, 7: 3, 20: 6, 39: 5 }, SIZE);

function tagsOf(name: string): Tags {
  return { Name: name, Stream: 'base/os', ImageName: name, Run: 'run-1' };
}

async function publish(
  target: CloudTarget,
  disk: ModelDisk,
  name: string,
  parent?: ParentDisk,
): Promise<PublishedImage> {
  const tags = tagsOf(name);
  const { id } = await target.createDisk({ token: `run ${name}`, content: disk.content(), parent, tags });
  return target.register(id, tags);
}

async function parentOf(target: CloudTarget): Promise<ParentDisk> {
  const image = (await target.parent('base/os', BigInt(SIZE)))!;
  return { image, map: await target.map(image.id) };
}

/** What every target promises (src/cloud/cloud.ts). */
export function testCloudTarget(test: TestFn, kind: string, make: MakeTarget): void {
  testImages(test, kind, make);
  testParents(test, kind, make);
  testUnfinished(test, kind, make);
}

function testImages(test: TestFn, kind: string, make: MakeTarget): void {
  test(`${kind}: a new target has no images, no parent and nothing unfinished`, async t => {
    const { target } = await make(t);
    t.deepEqual(await target.images(), []);
    t.is(await target.parent('base/os', 1n), undefined);
    t.deepEqual(await target.unfinished(), []);
  });

  test(`${kind}: a disk holds what it was made of, and is an image when it is registered`, async t => {
    const { target, reopen } = await make(t);
    const asked: number[] = [];
    const tags = tagsOf('base/os/1');
    const boot = { architecture: 'arm64', bootMode: 'uefi', rootDevice: '/dev/sda' };
    const request = { token: 'a', content: FIRST.content(asked), parent: undefined, tags, boot };
    const disk = await target.createDisk(request);
    t.deepEqual([disk.blocksSent, disk.parentId, asked], [5, undefined, [0, 1, 7, 8, 39]]);
    t.deepEqual(await target.images(), []);
    const image = await target.register(disk.id, tags);
    t.deepEqual(image.tags, tags);
    t.deepEqual(image.boot, boot);
    t.is(image.diskSize, BigInt(SIZE));
    t.is(image.fault, undefined);
    for (const each of [target, await reopen()]) {
      t.deepEqual(await each.images(), [image]);
      t.deepEqual(await each.readBack(image.id), FIRST.map);
      t.deepEqual(await each.map(image.id), FIRST.map);
      t.deepEqual(await each.unfinished(), []);
    }
  });

  test(`${kind}: what is asked for twice is made once`, async t => {
    const { target } = await make(t);
    const request = { token: 'a', content: FIRST.content(), parent: undefined, tags: {} };
    const { id } = await target.createDisk(request);
    t.like(await target.createDisk(request), { id, blocksSent: 0 });
    const image = await target.register(id, tagsOf('base/os/1'));
    t.deepEqual(await target.register(id, tagsOf('base/os/1')), image);
    t.like(await target.createDisk(request), { id, blocksSent: 0 });
    t.is((await target.images()).length, 1);
  });

  test(`${kind}: images are found by their tags, oldest first`, async t => {
    const { target } = await make(t);
    const one = await publish(target, FIRST, 'base/os/1');
    const two = await publish(target, SECOND, 'base/os/2');
    t.deepEqual(await target.images(), [one, two]);
    t.deepEqual(await target.images({ ImageName: 'base/os/2', Stream: 'base/os' }), [two]);
    t.deepEqual(await target.images({ ImageName: 'base/os/2', Stream: 'base/other' }), []);
  });

  test(`${kind}: tags are set and removed`, async t => {
    const { target, reopen } = await make(t);
    const { id } = await publish(target, FIRST, 'base/os/1');
    const changed = await target.setTags(id, { Preferred: 'true', Run: 'other' }, ['Stream', 'missing']);
    t.deepEqual(changed.tags, { Name: 'base/os/1', ImageName: 'base/os/1', Preferred: 'true', Run: 'other' });
    t.deepEqual((await (await reopen()).images())[0]?.tags, changed.tags);
  });

  test(`${kind}: an image that is removed is gone, and removing it again is no error`, async t => {
    const { target, reopen } = await make(t);
    const { id, diskId } = await publish(target, FIRST, 'base/os/1');
    await target.removeDisk(diskId);
    t.is((await target.images()).length, 1, 'the disk of an image stays');
    await target.remove(id);
    await target.remove(id);
    await target.removeDisk(diskId);
    for (const each of [target, await reopen()]) {
      t.deepEqual(await each.images(), []);
      t.deepEqual(await each.unfinished(), []);
    }
    for (const call of [
      () => target.readBack(id),
      () => target.map(id),
      () => target.setTags(id, {}, []),
      () => target.register(diskId, {}),
    ]) {
      t.is((await t.throwsAsync<ImageUnpackerError>(call)).code, 'IMAGE_UNKNOWN');
    }
  });
}

function testParents(test: TestFn, kind: string, make: MakeTarget): void {
  test(`${kind}: a disk with a parent gets only what differs, what became zeros included`, async t => {
    const { target } = await make(t);
    const parent = await publish(target, FIRST, 'base/os/1');
    const asked: number[] = [];
    const made = await target.createDisk({
      token: 'b',
      content: SECOND.content(asked),
      parent: await parentOf(target),
      tags: {},
    });
    t.is(made.parentId, parent.diskId);
    t.is(made.blocksSent, changedBlocks(SECOND.map, FIRST.map).length);
    t.true(
      asked.every(number => [1, 8, 20].includes(number)),
      asked.join(),
    );
    const image = await target.register(made.id, tagsOf('base/os/2'));
    t.deepEqual(await target.readBack(image.id), SECOND.map);
    t.deepEqual(await target.readBack(parent.id), FIRST.map, 'the parent is as it was');
    await target.remove(parent.id);
    t.deepEqual(await target.readBack(image.id), SECOND.map, 'and nothing needs it any more');
    t.is(diskDigest(await target.map(image.id)).compare(diskDigest(SECOND.map)), 0);
  });

  test(`${kind}: the newest image of the stream and size is the parent`, async t => {
    const { target } = await make(t);
    await publish(target, FIRST, 'base/os/1');
    const newest = await publish(target, SECOND, 'base/os/2');
    t.deepEqual(await target.parent('base/os', BigInt(SIZE)), newest);
    t.deepEqual(await target.parent('base/os'), newest);
    t.is(await target.parent('base/os', BigInt(SIZE + 4096)), undefined);
    t.is(await target.parent('base', BigInt(SIZE)), undefined);
  });

  test(`${kind}: a parent that is gone is done without`, async t => {
    const { target } = await make(t);
    await publish(target, FIRST, 'base/os/1');
    const parent = await parentOf(target);
    await target.remove(parent.image.id);
    const made = await target.createDisk({ token: 'b', content: SECOND.content(), parent, tags: {} });
    t.deepEqual([made.parentId, made.blocksSent], [undefined, 5]);
    const image = await target.register(made.id, {});
    t.deepEqual(await target.readBack(image.id), SECOND.map);
  });
}

function testUnfinished(test: TestFn, kind: string, make: MakeTarget): void {
  test(`${kind}: a disk whose content ends early or fails is no disk`, async t => {
    const { target } = await make(t);
    const content = FIRST.content();
    const failing = {
      map: content.map,
      async *blocks(numbers: readonly number[]) {
        for await (const block of content.blocks(numbers.slice(0, 2))) yield block;
        throw new Error('the agent is gone');
      },
    };
    const request = { token: 'a', parent: undefined, tags: { Run: 'run-1' } };
    await t.throwsAsync(target.createDisk({ ...request, content: failing }), {
      message: /the agent is gone/,
    });
    const short = {
      map: content.map,
      blocks: (numbers: readonly number[]) => content.blocks(numbers.slice(1)),
    };
    await t.throwsAsync(target.createDisk({ ...request, content: short }), { message: /blocks/ });
    t.deepEqual(await target.images(), []);
    for (const { id } of await target.unfinished()) await target.removeDisk(id);
    t.deepEqual(await target.unfinished(), []);
    const { id } = await target.createDisk({ ...request, content });
    t.deepEqual(await target.readBack((await target.register(id, {})).id), FIRST.map);
  });

  test(`${kind}: a disk of no image is found again and can be removed`, async t => {
    const { target, reopen } = await make(t);
    const tags = { Run: 'run-1' };
    const { id } = await target.createDisk({ token: 'a', content: FIRST.content(), parent: undefined, tags });
    const next = await reopen();
    const unfinished = await next.unfinished();
    t.deepEqual(
      unfinished.map(each => ({ id: each.id, tags: each.tags })),
      [{ id, tags }],
    );
    await next.removeDisk(id);
    t.deepEqual(await next.unfinished(), []);
  });

  test(`${kind}: a disk is not made any further when its caller goes away`, async t => {
    const { target } = await make(t);
    const controller = new AbortController();
    const onProgress = (done: number): void => {
      if (done > DISK_BLOCK_SIZE) controller.abort();
    };
    const request = { token: 'a', content: FIRST.content(), parent: undefined, tags: {} };
    const call = target.createDisk(request, { signal: controller.signal, onProgress });
    t.is((await t.throwsAsync<ImageUnpackerError>(call)).code, 'CANCELLED');
    t.deepEqual(await target.images(), []);
  });
}
