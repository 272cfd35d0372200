import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { connectImageServer } from '../../src/rpc/image-server-client.js';
import { objectPath, OBJECTS } from '../../src/store/local/layout.js';
import { openLocalStore } from '../../src/store/local/store.js';
import type { Store } from '../../src/store/store.js';
import { build, faultsOf } from './replication/stores.js';
import { connectTo, serveStore, shortDirectory } from './serving.js';

const SMALL = Buffer.from('a small object');
const LARGE = randomBytes(5 << 20);

async function* inPieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 300_000) {
    yield await Promise.resolve(bytes.subarray(at, at + 300_000));
  }
}

/** The store, which says of each object that it is what its name says. */
function believing(store: Store): Store {
  return new Proxy(store, {
    get(target, property) {
      if (property === 'check') {
        return (digests: readonly Buffer[]) => Promise.resolve({ faults: [], sizes: digests.map(() => 0) });
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** A server that demands content and has the two objects; `open` makes its store another one. */
async function serve(t: ExecutionContext, open: (store: Store) => Store = store => store) {
  const location = join(shortDirectory(t), 'store');
  const served = await serveStore(t, location, {
    demandsContent: true,
    openStore: async () => open(await openLocalStore(location, { create: true })),
  });
  const local = await openLocalStore(location);
  t.teardown(() => local.close());
  const files = [SMALL, LARGE].map(bytes => join(location, OBJECTS, objectPath(sha512(bytes))));
  await local.put(SMALL);
  await local.put(LARGE);
  return { ...served, local, files };
}

const uploads: ((store: Store) => Promise<{ added: boolean }>)[] = [
  store => store.put(SMALL),
  store => store.putStream(inPieces(SMALL)),
  store => store.put(LARGE),
  store => store.putStream(inPieces(LARGE)),
];

/** Puts other bytes in the place of the last ones. */
function replaceEnd(file: string): Buffer {
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(file, bytes);
  return bytes;
}

test('all content is sent, be it there or not, and what is there stays', async t => {
  const { address, files } = await serve(t);
  const before = files.map(file => statSync(file, { bigint: true }));
  const client = await connectImageServer(address, address, { certs: '' });
  t.teardown(() => {
    client.close();
  });
  const store = await connectTo(t, address);
  let bytes = 0n;
  for (const [at, upload] of uploads.entries()) {
    await upload(store);
    const { bytesReceived } = await client.status();
    t.is(bytesReceived - bytes, BigInt(at < 2 ? SMALL.length : LARGE.length), String(at));
    bytes = bytesReceived;
  }
  const digests = [SMALL, LARGE].map(sha512);
  t.deepEqual(await store.has(digests, { toStore: true }), [false, false]);
  t.deepEqual(await store.has(digests), [true, true]);
  t.false((await store.put(SMALL)).added);
  t.false((await store.put(LARGE)).added);
  t.deepEqual(
    files.map(file => statSync(file, { bigint: true }).ino),
    before.map(({ ino }) => ino),
  );
  await build(store, 's/1', [SMALL.toString(), 'another']);
  await build(store, 's/2', [SMALL.toString(), 'another']);
  t.deepEqual(await faultsOf(store), []);
});

test('another content with the same digest is refused and told of, and nothing is changed', async t => {
  const { address, files, told } = await serve(t, believing);
  const others = files.map(replaceEnd);
  const store = await connectTo(t, address);
  for (const [at, upload] of uploads.entries()) {
    const digest = sha512(at < 2 ? SMALL : LARGE).toString('hex');
    told.length = 0;
    await t.throwsAsync(
      upload(store),
      { code: 'CONTENT_COLLISION', message: new RegExp(digest) },
      String(at),
    );
    const lines = told.filter(({ message }) => message.includes('has the digest of another'));
    t.deepEqual(
      lines.map(({ facts }) => facts['digest']),
      [digest],
      String(at),
    );
  }
  await t.throwsAsync(build(store, 's/1', [SMALL.toString()]), { code: 'CONTENT_COLLISION' });
  t.deepEqual(await store.list(), []);
  for (const [at, file] of files.entries()) t.true(readFileSync(file).equals(others[at]!));
});

test('what is damaged is no other content: it is told of and stored anew', async t => {
  for (const upload of uploads) {
    const { address, files, told, local } = await serve(t);
    files.map(replaceEnd);
    const store = await connectTo(t, address);
    const at = uploads.indexOf(upload) < 2 ? 0 : 1;
    t.true((await upload(store)).added);
    t.true(readFileSync(files[at]!).equals([SMALL, LARGE][at]!));
    t.true(told.some(({ message }) => message === 'an object of the store is damaged'));
    t.deepEqual((await local.check([sha512([SMALL, LARGE][at]!)], {})).faults, []);
  }
});

test('bytes that have another digest are refused, be they those that are there or not', async t => {
  const { address, files } = await serve(t);
  const client = await connectImageServer(address, address, { certs: '' });
  t.teardown(() => {
    client.close();
  });
  for (const file of files) {
    const bytes = readFileSync(file);
    const digest = sha512(bytes);
    const other = replaceEnd(file);
    await t.throwsAsync(client.sendObjects([{ digest, bytes: other }]), { code: 'USAGE' });
    t.true(readFileSync(file).equals(other));
  }
});
