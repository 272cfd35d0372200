import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { decodeDigests, packFiles } from '../../src/source/scan.js';
import { ObjectCache } from '../../src/store/cache/cache.js';
import type { StagedObject, UploadTarget } from '../../src/store/cache/uploads.js';
import { Uploads } from '../../src/store/cache/uploads.js';
import type { SmallObject } from '../../src/store/store.js';
import { temporaryDirectory } from '../temporary-directory.js';

/** A store elsewhere that counts what it is asked. */
class Elsewhere implements UploadTarget {
  readonly location = 'elsewhere';
  readonly verifies = true;
  readonly batch = { objects: 512, bytes: 4 << 20, atOnce: 4 };
  readonly objects = new Map<string, Buffer>();
  asked = 0;
  batches = 0;
  files = 0;
  onFile: () => Promise<void> = () => Promise.resolve();

  rescue(): Promise<void> {
    return Promise.resolve();
  }

  sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    this.asked++;
    return Promise.resolve(digests.map(digest => this.objects.get(digest.toString('hex'))?.length));
  }

  addMany(objects: readonly SmallObject[]): Promise<void> {
    this.batches++;
    for (const { digest, bytes } of objects) this.objects.set(digest.toString('hex'), bytes);
    return Promise.resolve();
  }

  async addFile({ digest, path }: StagedObject): Promise<void> {
    this.files++;
    await this.onFile();
    this.objects.set(digest.toString('hex'), readFileSync(path));
  }
}

interface Source {
  root: number;
  packed: Buffer;
  contents: Buffer[];
}

/** Files in a directory of their own, with a hole at the end of each if it is so said. */
function sourceOf(t: ExecutionContext, contents: Buffer[], withHoles = false): Source {
  const directory = temporaryDirectory(t);
  const files = contents.map((bytes, at) => {
    const path = join(directory, String(at));
    writeFileSync(path, bytes);
    if (withHoles) truncateSync(path, bytes.length + 8192);
    const { size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    const segments = [{ offset: 0n, length: BigInt(bytes.length) }];
    return { path: Buffer.from(String(at)), size, mtime: mtimeNs, ctime: ctimeNs, segments };
  });
  const root = openSync(directory, 'r');
  t.teardown(() => {
    closeSync(root);
  });
  return { root, packed: packFiles(files), contents };
}

function uploadsTo(t: ExecutionContext, target: UploadTarget): { uploads: Uploads; staging: string } {
  const directory = temporaryDirectory(t);
  const cache = new ObjectCache({ directory, maxBytes: 1 << 30 });
  const uploads = new Uploads(target, cache);
  t.teardown(async () => {
    await uploads.close();
    await cache.close();
  });
  return { uploads, staging: join(directory, 'staging') };
}

function has(t: ExecutionContext, target: Elsewhere, contents: readonly Buffer[]): void {
  for (const bytes of contents) t.true(target.objects.get(sha512(bytes).toString('hex'))?.equals(bytes));
}

const LARGE = Buffer.alloc((3 << 20) + 1, 'large');

test('files are uploaded from where they lie', async t => {
  const target = new Elsewhere();
  const { uploads, staging } = uploadsTo(t, target);
  const { root, packed, contents } = sourceOf(t, [LARGE, Buffer.from('small'), Buffer.from('other')]);
  const stored = [...decodeDigests(await uploads.ingest(root, packed, {}))];
  t.deepEqual(
    stored.map(({ digest }) => digest),
    contents.map(sha512),
  );
  has(t, target, contents);
  t.false(existsSync(staging));
});

test('of a large file with holes its data is put together first, and nothing is left of that', async t => {
  const target = new Elsewhere();
  const { uploads, staging } = uploadsTo(t, target);
  const { root, packed } = sourceOf(t, [LARGE], true);
  await uploads.ingest(root, packed, {});
  has(t, target, [LARGE]);
  t.true(existsSync(staging));
});

test('small files take a few calls for all of them, whatever their number', async t => {
  const target = new Elsewhere();
  const { uploads } = uploadsTo(t, target);
  const count = 3000;
  const { root, packed, contents } = sourceOf(
    t,
    Array.from({ length: count }, (_, at) => Buffer.from(`file ${String(at)}`)),
  );
  await uploads.ingest(root, packed, {});
  has(t, target, contents);
  t.is(target.batches, Math.ceil(count / target.batch.objects));
  t.true(target.asked <= 2, String(target.asked));
});

test('an object that several send at once is sent once, and all wait for it', async t => {
  const target = new Elsewhere();
  const { uploads } = uploadsTo(t, target);
  const { root, packed } = sourceOf(t, [LARGE, LARGE]);
  target.onFile = () => sleep(50);
  await Promise.all([
    uploads.ingest(root, packed, {}).then(() => {
      has(t, target, [LARGE]);
    }),
    uploads.ingest(root, packed, {}).then(() => {
      has(t, target, [LARGE]);
    }),
  ]);
  t.is(target.files, 1);
});

test('a file that is written to while it is uploaded is named, whatever the other end says', async t => {
  const target = new Elsewhere();
  const { uploads } = uploadsTo(t, target);
  const { root, packed } = sourceOf(t, [LARGE]);
  target.onFile = () => {
    writeFileSync(`/proc/self/fd/${String(root)}/0`, 'other');
    return Promise.reject(new Error('it has another digest'));
  };
  await t.throwsAsync(uploads.ingest(root, packed, {}), { code: 'ESTALE' });
});
