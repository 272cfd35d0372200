import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext, TestFn } from 'ava';
import type { DiskMap } from '../../src/image/disk-map.js';
import { diskDigest } from '../../src/image/disk-map.js';
import { sha512 } from '../../src/image/digest.js';
import { formKey } from '../../src/image/sparse-form.js';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { decodeDigests, packFiles } from '../../src/source/scan.js';
import type { Store } from '../../src/store/store.js';
import { gather } from '../gather.js';
import { testLife } from './store-life.js';
import { recordOf as record } from '../model/image-record.js';
import { temporaryDirectory } from '../temporary-directory.js';

/** A store that is made for one test, empty. */
export interface StoreUnderTest {
  store: Store;
  /** The same store as another process would see it. */
  reopen: () => Promise<Store>;
  /** Makes a disk map that is kept another one behind the store's back. */
  damageMap: (imageDigest: string, diskDigest: Buffer) => Promise<void>;
  /** Makes what is kept of a channel something else behind the store's back. */
  damageChannel: (stream: string, name: string) => Promise<void>;
  /** Makes an object another one behind the store's back. */
  damage: (digest: Buffer, how: 'missing' | 'changed' | 'short' | 'empty') => Promise<void>;
}

export type MakeStore = (t: ExecutionContext) => Promise<StoreUnderTest>;

const LARGE = Buffer.from(Array.from({ length: 3_000_001 }, (_, at) => (at * 7919) & 0xff));

function* chunksOf(bytes: Buffer, size: number): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function* asynchronously(chunks: Iterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  for (const chunk of chunks) yield Promise.resolve(chunk);
}

/** What every store promises (src/store/store.ts). */
export function testStore(test: TestFn, kind: string, make: MakeStore): void {
  testObjects(test, kind, make);
  testDamage(test, kind, make);
  testFiles(test, kind, make);
  testImages(test, kind, make);
  testDiskMaps(test, kind, make);
  testLife(test, kind, make);
}

function testObjects(test: TestFn, kind: string, make: MakeStore): void {
  for (const [what, bytes] of [
    ['no bytes', Buffer.alloc(0)],
    ['a few', Buffer.from('hello')],
    ['many', LARGE],
  ] as const) {
    test(`${kind}: ${what} are stored under their digest, once`, async t => {
      const { store, reopen } = await make(t);
      const stored = { digest: sha512(bytes), size: bytes.length };
      t.deepEqual(await store.has([stored.digest]), [false]);
      t.deepEqual(await store.put(bytes), { ...stored, added: true });
      t.deepEqual(await store.put(bytes), { ...stored, added: false });
      t.deepEqual(await store.putStream(asynchronously(chunksOf(bytes, 65_537))), {
        ...stored,
        added: false,
      });
      const other = await reopen();
      t.true((await other.read(stored.digest, bytes.length)).equals(bytes));
      t.true(Buffer.concat(await gather(other.stream(stored.digest))).equals(bytes));
      t.deepEqual(await other.check([stored.digest], {}), { faults: [], sizes: [bytes.length] });
    });

    test(`${kind}: ${what} that come bit by bit are stored the same`, async t => {
      const { store } = await make(t);
      const stored = { digest: sha512(bytes), size: bytes.length };
      const put = store.putStream(asynchronously(chunksOf(bytes, 65_537)));
      t.deepEqual(await put, { ...stored, added: true });
      t.true((await store.read(stored.digest, bytes.length)).equals(bytes));
    });
  }

  test(`${kind}: which objects there are is told in the order asked`, async t => {
    const { store } = await make(t);
    const { digest } = await store.put(Buffer.from('x'));
    t.deepEqual(await store.has([sha512(LARGE), digest, sha512(LARGE), digest]), [false, true, false, true]);
    t.deepEqual(await store.has([]), []);
  });

  test(`${kind}: many objects are read in the order asked`, async t => {
    const { store } = await make(t);
    const objects = [Buffer.from('one'), LARGE, Buffer.alloc(0), Buffer.from('one'), Buffer.from('two')];
    for (const object of objects) await store.put(object);
    const read = await store.readMany(objects.map(sha512), LARGE.length);
    t.is(read.length, objects.length);
    for (const [at, object] of objects.entries()) t.true(read[at]!.equals(object), String(at));
    t.deepEqual(await store.readMany([], LARGE.length), []);
  });

  test(`${kind}: a stream that fails is not stored`, async t => {
    const { store } = await make(t);
    const failure = new Error('the source is gone');
    async function* failing(): AsyncGenerator<Buffer, void, undefined> {
      yield* chunksOf(LARGE, 1 << 20);
      await Promise.reject(failure);
    }
    const error = await t.throwsAsync(store.putStream(failing()));
    t.is(error.cause ?? error, failure);
    t.deepEqual(await store.has([sha512(LARGE)]), [false]);
  });

  test(`${kind}: the same bytes at the same time are stored`, async t => {
    const { store } = await make(t);
    const put = await Promise.all(Array.from({ length: 8 }, () => store.putStream(asynchronously([LARGE]))));
    t.true(put.every(({ digest }) => digest.equals(sha512(LARGE))));
    t.deepEqual((await store.check([sha512(LARGE)], {})).faults, []);
  });
}

function testDamage(test: TestFn, kind: string, make: MakeStore): void {
  const digest = sha512(LARGE);
  for (const how of ['missing', 'changed', 'short', 'empty'] as const) {
    test(`${kind}: an object that is ${how} is named and never handed out`, async t => {
      const { store, damage } = await make(t);
      const good = await store.put(Buffer.from('good'));
      await store.put(LARGE);
      await damage(digest, how);
      const fault = { code: 'STORE_DAMAGED', message: new RegExp(digest.toString('hex')) };
      const error = await t.throwsAsync<ImageUnpackerError>(store.read(digest, LARGE.length), fault);
      t.is(error.subject.digest, digest.toString('hex'));
      const digests = [good.digest, digest, good.digest];
      await t.throwsAsync(store.readMany(digests, LARGE.length), { ...fault, message: error.message });
      let bytes = 0;
      const read = async (): Promise<void> => {
        for await (const chunk of store.stream(digest)) bytes += chunk.length;
      };
      await t.throwsAsync(read, fault);
      t.true(bytes < LARGE.length);
      const state = how === 'missing' ? 'missing' : 'damaged';
      t.deepEqual((await store.check([good.digest, digest], {})).faults, [{ digest, state }]);
      const refused = await t.throwsAsync<ImageUnpackerError>(store.fetch([good.digest, digest], {}), {
        code: 'STORE_DAMAGED',
      });
      t.deepEqual(refused.subject.details, [`${digest.toString('hex')} is ${state}`]);
    });
  }

  test(`${kind}: every object that cannot be fetched is named`, async t => {
    const { store } = await make(t);
    const wanted = [sha512(Buffer.from('a')), sha512(Buffer.from('b'))];
    const error = await t.throwsAsync<ImageUnpackerError>(store.fetch([...wanted, ...wanted], {}));
    t.deepEqual(
      error.subject.details,
      wanted.map(each => `${each.toString('hex')} is missing`),
    );
  });

  test(`${kind}: an object that was cut short is mended by storing it again`, async t => {
    const { store, damage } = await make(t);
    await store.put(LARGE);
    await damage(digest, 'short');
    t.true((await store.put(LARGE)).added);
    t.deepEqual((await store.check([digest], {})).faults, []);
  });

  test(`${kind}: an object that was changed is mended by putting it again`, async t => {
    const { store, damage } = await make(t);
    await store.put(LARGE);
    await damage(digest, 'changed');
    t.true((await store.put(LARGE)).added);
    t.deepEqual((await store.check([digest], {})).faults, []);
  });

  test(`${kind}: what was noted to be damaged is stored anew when it comes again`, async t => {
    const { store, damage, reopen } = await make(t);
    const good = await store.put(Buffer.from('good'));
    await store.put(LARGE);
    await damage(digest, 'changed');
    const missing = sha512(Buffer.from('missing'));
    await store.noteDamage([good.digest, digest, missing]);
    await store.close();
    const other = await reopen();
    t.true((await other.putStream(asynchronously(chunksOf(LARGE, 1 << 20)))).added);
    t.false((await other.putStream(asynchronously([Buffer.from('good')]))).added);
    t.deepEqual((await other.check([good.digest, digest], {})).faults, []);
    // What is good by now stays.
    await other.noteDamage([good.digest, digest]);
    await other.close();
    t.false((await (await reopen()).putStream(asynchronously(chunksOf(LARGE, 1 << 20)))).added);
  });

  test(`${kind}: an object that is larger than it may be is not read`, async t => {
    const { store } = await make(t);
    await store.put(LARGE);
    const larger = { code: 'STORE_DAMAGED', message: /larger/ };
    await t.throwsAsync(store.read(digest, LARGE.length - 1), larger);
    await t.throwsAsync(store.readMany([digest], LARGE.length - 1), larger);
  });
}

function testFiles(test: TestFn, kind: string, make: MakeStore): void {
  test(`${kind}: of fetched objects it is told what they are without their zeros`, async t => {
    const { store } = await make(t);
    const [a, zeros, b] = [Buffer.alloc(4096 * 300, 'a'), Buffer.alloc(4096 * 2), Buffer.from('end')];
    const objects = [
      Buffer.concat([a, zeros, b]),
      Buffer.concat([a, b]),
      Buffer.concat([a, Buffer.alloc(10)]),
      zeros,
    ];
    const digests: Buffer[] = [];
    for (const bytes of objects) digests.push((await store.put(bytes)).digest);
    const fetched = await store.fetch(digests, {});
    await fetched.close();
    const form = (at: number): unknown => fetched.sparse.get(formKey(digests[at]!));
    t.deepEqual(form(0), { digest: digests[1], zeros: [{ start: 300n, count: 2n }] });
    t.is(form(1), undefined);
    t.deepEqual(form(2), { digest: sha512(a), zeros: [{ start: 300n, count: 1n }] });
    t.deepEqual(form(3), { digest: null, zeros: [{ start: 0n, count: 2n }] });
  });

  test(`${kind}: fetched objects are files of this machine`, async t => {
    const { store } = await make(t);
    const { digest } = await store.put(LARGE);
    const fetched = await store.fetch([digest, digest], {});
    const hex = digest.toString('hex');
    const file = `/proc/self/fd/${String(fetched.directory)}/${hex.slice(0, 2)}/${hex}`;
    t.true(readFileSync(file).equals(LARGE));
    t.true(Number.isSafeInteger(fetched.bytesFetched));
    await fetched.close();
  });

  test(`${kind}: files are stored by their digests`, async t => {
    const { store } = await make(t);
    const directory = temporaryDirectory(t);
    const contents = [Buffer.from('one'), LARGE, Buffer.from('two')];
    const files = contents.map((content, number) => makeFile(directory, `f${String(number)}`, content));
    await store.put(contents[2]!);
    const root = openSync(directory, 'r');
    t.teardown(() => closeSync(root));
    const done: number[] = [];
    const onProgress = (_: number, bytes: number): number => done.push(bytes);
    const stored = [...decodeDigests(await store.ingest(root, packFiles(files), { onProgress }))];
    t.deepEqual(
      stored,
      contents.map((content, at) => ({ digest: sha512(content), added: at !== 2, skipped: false })),
    );
    t.is(done.at(-1), 6 + LARGE.length);
    for (const content of contents) t.deepEqual(await store.read(sha512(content), content.length), content);
  });

  test(`${kind}: a file whose data is known is read only where that is not stored`, async t => {
    const { store, damage } = await make(t);
    const directory = temporaryDirectory(t);
    const [stored, gone, short] = ['stored', 'not there', 'too short'].map(text => Buffer.from(text));
    const digests = [stored!, gone!, short!].map(sha512);
    for (const content of [stored!, short!]) await store.put(content);
    await damage(digests[2]!, 'short');
    // What is not read need not be there.
    const files = [gone!, short!].map(content => makeFile(directory, content.toString(), content));
    const absent = { ...makeFile(directory, 'x', stored!), path: Buffer.from('absent') };
    const root = openSync(directory, 'r');
    t.teardown(() => closeSync(root));
    const packed = packFiles([absent, ...files].map((file, at) => ({ ...file, known: digests[at]! })));
    t.deepEqual(
      [...decodeDigests(await store.ingest(root, packed, {}))],
      digests.map((digest, at) => ({ digest, added: at > 0, skipped: at === 0 })),
    );
    t.deepEqual((await store.check(digests, {})).faults, []);
  });

  test(`${kind}: a file that is no longer as it was seen is named`, async t => {
    const { store } = await make(t);
    const directory = temporaryDirectory(t);
    const file = makeFile(directory, 'changing', Buffer.from('before'));
    writeFileSync(join(directory, 'changing'), 'after, and longer');
    const root = openSync(directory, 'r');
    t.teardown(() => closeSync(root));
    const error = await t.throwsAsync(store.ingest(root, packFiles([file]), {}), { code: 'ESTALE' });
    t.is(String((error as unknown as { path: Buffer }).path), 'changing');
  });
}

function makeFile(directory: string, name: string, content: Buffer) {
  writeFileSync(join(directory, name), content);
  const { size, mtimeNs, ctimeNs } = statSync(join(directory, name), { bigint: true });
  return {
    path: Buffer.from(name),
    size,
    mtime: mtimeNs,
    ctime: ctimeNs,
    segments: [{ offset: 0n, length: size }],
  };
}

function testImages(test: TestFn, kind: string, make: MakeStore): void {
  test(`${kind}: an image is known by its name, with all that was said of it`, async t => {
    const { store, reopen } = await make(t);
    const image = record('base/debian-12/2026-11-23T06:00', '2026-11-23T06:00:00.123Z', {
      expiresAt: '2027-01-01T00:00:00.000Z',
      entries: 33_488,
      bytes: 2n ** 63n,
      tags: { Name: 'é "x"', empty: '' },
      annotations: { packages: sha512(LARGE).toString('hex') },
    });
    await store.create(image);
    t.deepEqual(await store.image(image.name), image);
    const other = await reopen();
    t.deepEqual(await other.image(image.name), image);
    t.deepEqual(await other.list(), [image]);
  });

  test(`${kind}: images are listed oldest first, and a stream without the streams below it`, async t => {
    const { store } = await make(t);
    const [b, a, c] = [record('s/b', '2026-01-01T00:00:00.001Z'), record('s/a'), record('s/c')];
    const below = record('s/t/a', '2025-01-01T00:00:00.000Z');
    t.deepEqual(await store.list(), []);
    for (const each of [b, c, below, a]) await store.create(each);
    t.deepEqual(await store.list(), [below, a, c, b]);
    t.deepEqual(await store.list('s'), [a, c, b]);
    t.deepEqual(await store.list('s/t'), [below]);
    t.deepEqual(await store.list('none'), []);
  });

  test(`${kind}: a name is taken once`, async t => {
    const { store } = await make(t);
    await t.notThrowsAsync(store.checkIsNew('s/a'));
    const made = await Promise.allSettled(
      ['2026-01-01T00:00:00.001Z', '2026-01-01T00:00:00.002Z'].map(time => store.create(record('s/a', time))),
    );
    const taken = { code: 'IMAGE_EXISTS' as const, message: /s\/a/ };
    t.deepEqual(made.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    t.is(
      (made.find(({ status }) => status === 'rejected') as { reason: ImageUnpackerError }).reason.code,
      taken.code,
    );
    await t.throwsAsync(store.checkIsNew('s/a'), taken);
    await t.throwsAsync(store.create(record('s/a')), taken);
  });

  test(`${kind}: an image that is removed is gone, and others are not`, async t => {
    const { store } = await make(t);
    for (const name of ['s/t/a', 's/a', 's/b']) await store.create(record(name));
    await store.remove('s/t/a');
    await store.remove('s/b');
    t.deepEqual(await store.list(), [record('s/a')]);
    await t.throwsAsync(store.remove('s/b'), { code: 'IMAGE_UNKNOWN' });
    await store.create(record('s/t/a'));
    t.deepEqual(await store.image('s/t/a'), record('s/t/a'));
  });

  test(`${kind}: an image that is not there is an error that names one that is`, async t => {
    const { store } = await make(t);
    await t.throwsAsync(store.image('s/a'), { code: 'IMAGE_UNKNOWN' });
    await store.create(record('base/debian-12/2026-01'));
    await t.throwsAsync(store.image('base/debian-12/2026-02'), {
      code: 'IMAGE_UNKNOWN',
      message: /base\/debian-12\/2026-01\?/,
    });
    await t.throwsAsync(store.image('base/debain-12/2026-01'), {
      code: 'IMAGE_UNKNOWN',
      message: /base\/debian-12\/2026-01\?/,
    });
  });

  for (const name of ['', 'leaf', '../a/b', 'a/../../b', '/etc/passwd', 'a/b/', 'a/@b']) {
    test(`${kind}: ${JSON.stringify(name)} is not the name of an image`, async t => {
      const { store } = await make(t);
      const wrong = { code: 'IMAGE_NAME' };
      await t.throwsAsync(store.image(name), wrong);
      await t.throwsAsync(store.checkIsNew(name), wrong);
      await t.throwsAsync(store.remove(name), wrong);
      await t.throwsAsync(store.create(record(name)), wrong);
    });
  }

  test(`${kind}: a stream has a name as images have`, async t => {
    const { store } = await make(t);
    await t.throwsAsync(store.list('../..'), { code: 'IMAGE_NAME' });
  });
}

/** The map of a disk of three blocks, of which the second is zeros. */
function diskMapOf(what: string): DiskMap {
  const digests = Buffer.concat([sha512(Buffer.from(what)).subarray(0, 32), Buffer.alloc(32, 3)]);
  return { size: 1_572_352n, present: Buffer.from([5]), digests };
}

function testDiskMaps(test: TestFn, kind: string, make: MakeStore): void {
  const [image, other] = ['an image', 'another'].map(text => sha512(Buffer.from(text)).toString('hex')) as [
    string,
    string,
  ];

  test(`${kind}: the map of a disk is kept beside its image`, async t => {
    const { store, reopen } = await make(t);
    const [map, second] = [diskMapOf('one'), diskMapOf('two')];
    t.is(await store.diskMap(image, diskDigest(map)), undefined);
    t.deepEqual(await store.diskMaps(image), []);
    await Promise.all([map, map, second].map(each => store.keepDiskMap(image, each)));
    const seen = await reopen();
    for (const each of [map, second]) t.deepEqual(await seen.diskMap(image, diskDigest(each)), each);
    const digests = [map, second].map(diskDigest).sort((a, b) => a.compare(b));
    t.deepEqual(await seen.diskMaps(image), digests);
    t.is(await seen.diskMap(other, diskDigest(map)), undefined);
    t.deepEqual(await seen.diskMaps(other), []);
  });

  test(`${kind}: a disk map that is damaged is never handed out, and mended by keeping it again`, async t => {
    const { store, damageMap } = await make(t);
    const map = diskMapOf('one');
    await store.keepDiskMap(image, map);
    await damageMap(image, diskDigest(map));
    const hex = new RegExp(diskDigest(map).toString('hex'));
    await t.throwsAsync(store.diskMap(image, diskDigest(map)), { code: 'STORE_DAMAGED', message: hex });
    await store.keepDiskMap(image, map);
    t.deepEqual(await store.diskMap(image, diskDigest(map)), map);
  });
}
