import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { FileEntry } from '../../src/image/entry.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import { silentProgress } from '../../src/image/progress.js';
import type { FetchedObjects, Store } from '../../src/store/store.js';
import { FetchAhead } from '../../src/volume/fetch-ahead.js';

const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [], names: [], holes: [] };
const options = { progress: silentProgress };

function file(name: string): FileEntry {
  const content = Buffer.from(name);
  return { type: 'file', path: content, ...metadata, size: BigInt(content.length), digest: sha512(content) };
}

const [a, b, c] = [file('a'), file('bb'), file('ccc')];
const nameOf = (digest: Buffer): string =>
  [a, b, c].find(each => each.digest!.equals(digest))!.path.toString();

/** A store that tells what it was asked for, and what of that was not closed; objects that are damaged it has not. */
class FakeStore {
  readonly asked: string[] = [];
  readonly damaged = new Set<string>();
  open = 0;

  fetch(digests: readonly Buffer[]): Promise<FetchedObjects> {
    const names = digests.map(nameOf);
    this.asked.push(names.join(' '));
    const bad = names.filter(name => this.damaged.has(name));
    if (bad.length > 0) return Promise.reject(new ImageUnpackerError('STORE_DAMAGED', bad.join(' ')));
    this.open++;
    return Promise.resolve({
      directory: 7,
      bytesFetched: names.length,
      sizes: names.map(({ length }) => length),
      sparse: new Map(names.map(name => [name, { digest: null, zeros: [] }])),
      close: () => {
        this.open--;
        return Promise.resolve();
      },
    });
  }

  get asStore(): Store {
    return this as unknown as Store;
  }
}

test('what was fetched ahead is not fetched again, the rest is', async t => {
  const store = new FakeStore();
  const objects = await new FetchAhead(store.asStore, [a, b], options).finish([a, b, c]);
  t.deepEqual(store.asked, ['a bb', 'ccc']);
  t.is(objects.bytesFetched, 3);
  t.deepEqual([...objects.sparse.keys()], ['a', 'bb', 'ccc']);
  await objects.close();
  t.is(store.open, 0);
});

test('nothing is asked for twice where all was known before, and nothing ahead where nothing was', async t => {
  const store = new FakeStore();
  await (await new FetchAhead(store.asStore, [a], options).finish([a])).close();
  await (await new FetchAhead(store.asStore, [], options).finish([b])).close();
  t.deepEqual(store.asked, ['a', 'bb']);
  t.is(store.open, 0);
});

test('what is damaged is named together, once it is known to be needed', async t => {
  const store = new FakeStore();
  store.damaged.add('a').add('ccc');
  const ahead = new FetchAhead(store.asStore, [a, b], options);
  await t.throwsAsync(ahead.finish([a, b, c]), { code: 'STORE_DAMAGED', message: 'a ccc' });
  await ahead.close();
  t.is(store.open, 0);
});

test('what was fetched for nothing is given back', async t => {
  const store = new FakeStore();
  const ahead = new FetchAhead(store.asStore, [a], options);
  await ahead.close();
  t.deepEqual(store.asked, ['a']);
  t.is(store.open, 0);
});
