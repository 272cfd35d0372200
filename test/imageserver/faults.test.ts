import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, cp } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectSecurely } from 'node:tls';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import { parseAddress } from '../../src/rpc/address.js';
import { outliveErrors } from '../../src/rpc/image-server-http.js';
import { OBJECTS_PATH, UPLOAD_LENGTH, UPLOAD_OFFSET } from '../../src/rpc/image-server-messages.js';
import { makeCertificates } from '../../src/rpc/make-certificates.js';
import { IMAGES, namedPath, objectPath, OBJECTS } from '../../src/store/local/layout.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import { moveChannel } from '../../src/store/move-channel.js';
import { sentHead } from '../../src/store/remote/frames.js';
import type { ImageRecord, Store } from '../../src/store/store.js';
import { manifestWriter } from '../model/manifest-writer.js';
import { recordOf } from '../model/image-record.js';
import { issue } from '../rpc/issue.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { build, diskMapOf, treeOf } from './replication/stores.js';
import { cuttingProxy } from './cutting-proxy.js';
import type { ServedStore } from './serving.js';
import { connectTo, serveStore } from './serving.js';

const root = mkdtempSync(join(tmpdir(), 'imageserver-'));
const certs = join(root, 'good');
const others = join(root, 'others');
const of = (who: string): string => join(certs, who);

test.before(async () => {
  const set = { hosts: ['127.0.0.1'], days: 2, uploads: ['team'] };
  for (const directory of [certs, others]) await makeCertificates({ directory, ...set });
});
test.after.always(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A server of an empty store, over TLS or on a Unix socket. */
async function serve(t: ExecutionContext, secure: boolean): Promise<ServedStore & { root: string }> {
  const served = join(temporaryDirectory(t), 'store');
  const tcp = { addresses: [{ kind: 'tcp', host: '127.0.0.1', port: 0 } as const], certs };
  return { ...(await serveStore(t, served, secure ? tcp : {})), root: served };
}

/** Waits until the server has told so; it may do after the caller has heard. */
async function told(t: ExecutionContext, { told: lines }: ServedStore, pattern: RegExp): Promise<void> {
  const shown = (): string =>
    lines.map(({ message, facts }) => `${message} ${JSON.stringify(facts)}`).join('\n');
  for (let waits = 0; waits < 100 && !pattern.test(shown()); waits++) await sleep(50);
  t.regex(shown(), pattern);
}

const IN_A_YEAR = new Date(Date.now() + 365 * 86_400_000).toISOString();

test('each role may do what it says and no more, and what is refused is told of', async t => {
  const served = await serve(t, true);
  const admin = await connectTo(t, served.address, certs);
  const image = { ...(await build(admin, 'team/a/1', ['one'], { expiresAt: new Date(IN_A_YEAR) })) };
  const uploader = await connectTo(t, served.address, of('uploader'));
  const reader = await connectTo(t, served.address, of('reader'));
  const nobody = await connectTo(
    t,
    served.address,
    issue(t, certs, { names: 'DNS:somebody', until: '20990101000000Z' }),
  );
  const refused = { code: 'NO_PERMISSION' };
  const channel = { stream: 'team/a', name: 'c' };
  const big = randomBytes(3 << 20);
  const sparse = { size: 1n, holes: [], digest: sha512(Buffer.from('x')) };

  await build(uploader, 'team/b/1', ['two']);
  await uploader.replace({ ...image, tags: { some: 'tag' } }, image);
  const tagged = await reader.image('team/a/1');
  t.is((await reader.list()).length, 2);
  t.deepEqual(await reader.read(sha512(Buffer.from('two')), 100), Buffer.from('two'));

  const attempts: [what: string, () => Promise<unknown>, RegExp][] = [
    ['read', () => nobody.image('team/a/1'), /GetImage/],
    ['list', () => nobody.list(), /ListImages/],
    ['read an object', () => nobody.read(sha512(Buffer.from('two')), 100), /POST \/v1\/objects/],
    ['fetch', () => nobody.fetch([sha512(Buffer.from('two'))], {}), /POST \/v1\/sizes/],
    ['upload small', () => reader.put(Buffer.from('new')), /PUT \/v1\/objects"/],
    ['upload large', () => reader.putStream(inPieces(big)), /PUT \/v1\/objects\/[0-9a-f]{128}/],
    ['derive', () => reader.derive!(sparse, sparse), /PUT \/v1\/derived/],
    ['keep a disk map', () => nobody.keepDiskMap(image.digest, diskMapOf('x')), /PUT \/v1\/disk-maps/],
    ['make', () => reader.create(image, {}), /CreateImage/],
    ['upload elsewhere', () => build(uploader, 'other/1', ['two']), /upload to other/],
    ['upload to a namesake', () => build(uploader, 'teamster/1', ['two']), /upload to teamster/],
    [
      'use a name again',
      () => uploader.create({ ...image, name: 'team/c/1' }, { reuseName: true }),
      /role admin/,
    ],
    ['delete', () => uploader.remove('team/a/1'), /DeleteImage/],
    [
      'shorten',
      () => uploader.replace({ ...tagged, expiresAt: new Date().toISOString() }, tagged),
      /ReplaceImage/,
    ],
    [
      'move a channel',
      () => moveChannel(reader, channel, 'team/a/1', { movedAt: new Date() }),
      /ReplaceChannel/,
    ],
  ];
  for (const [what, attempt, pattern] of attempts) {
    await t.throwsAsync(attempt, refused, what);
    await told(t, served, new RegExp(`a request was refused.*(${pattern.source})`));
  }
  await uploader.replace({ ...tagged, expiresAt: null }, tagged);
  await admin.remove('team/a/1');
  t.deepEqual(
    (await admin.list()).map(({ name }) => name),
    ['team/b/1'],
  );
  t.deepEqual(await admin.has([sha512(Buffer.from('new')), sha512(big)]), [false, false]);
});

test('plain text, no certificate, one of another authority or an expired one: refused and told of', async t => {
  const served = await serve(t, true);
  const { port } = parseAddress(served.address, 0) as { port: number };
  for (const text of ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
    served.told.length = 0;
    const socket = connectSocket(port, '127.0.0.1');
    const received: Buffer[] = [];
    socket.on('error', () => undefined).on('data', (data: Buffer) => received.push(data));
    socket.write(text);
    await once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
    t.true(
      received.every(([type]) => type === 21),
      'at most an alert of TLS',
    );
    await told(t, served, /a connection was refused/);
  }
  const mixed = temporaryDirectory(t);
  await cp(others, mixed, { recursive: true });
  await copyFile(join(certs, 'ca.pem'), join(mixed, 'ca.pem'));
  const expired = issue(t, certs, { names: 'URI:image-unpacker://role/admin', until: '20210101000000Z' });
  const files = (directory: string) => ({
    ca: readFileSync(join(directory, 'ca.pem')),
    cert: readFileSync(join(directory, 'cert.pem')),
    key: readFileSync(join(directory, 'key.pem')),
  });
  for (const identity of [files(mixed), files(expired), { ca: files(certs).ca }]) {
    served.told.length = 0;
    for (const protocol of ['h2', 'http/1.1']) {
      const socket = connectSecurely({ host: '127.0.0.1', port, ...identity, ALPNProtocols: [protocol] });
      socket.on('secureConnect', () => socket.write('GET /v1/objects HTTP/1.1\r\nHost: a\r\n\r\n'));
      const received: Buffer[] = [];
      socket.on('data', (data: Buffer) => received.push(data)).on('error', () => undefined);
      await new Promise(resolve => socket.once('close', resolve));
      t.is(Buffer.concat(received).length, 0);
    }
    await told(t, served, /a connection was refused/);
  }
  await t.throwsAsync(connectTo(t, served.address, mixed), {
    code: 'CONFIGURATION',
    message: /refuses your certificate/,
  });
  await t.throwsAsync(connectTo(t, served.address, expired), { code: 'CONFIGURATION', message: /expired/ });
});

function flip(path: string, at: (length: number) => number = length => length >> 1): void {
  const bytes = readFileSync(path);
  bytes[at(bytes.length)]! ^= 4;
  writeFileSync(path, bytes);
}

/** All that an error names. */
function namedIn(reason: Error): string {
  return reason instanceof ImageUnpackerError ? JSON.stringify([reason.message, reason.subject]) : '';
}

function codeOf(reason: Error): string {
  return reason instanceof ImageUnpackerError ? reason.code : reason.message;
}

async function readAll(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

test('a flipped bit in any object or record is never handed out, and the object is named', async t => {
  const served = await serve(t, false);
  const local = await openLocalStore(served.root);
  t.teardown(() => local.close());
  const large = randomBytes(5 << 20);
  const { digest: largeDigest } = await local.put(large);
  const image = await build(local, 's/1', ['a small one', 'another']);
  const { index } = await ManifestReader.open(local, Buffer.from(image.digest, 'hex'));
  const cases: [what: string, Buffer][] = [
    ['small', sha512(Buffer.from('a small one'))],
    ['large', largeDigest],
    ['page', index.pages[0]!.digest],
    ['index', Buffer.from(image.digest, 'hex')],
  ];
  for (const [what, digest] of cases) {
    const path = join(served.root, OBJECTS, objectPath(digest));
    const good = readFileSync(path);
    const hex = digest.toString('hex');
    for (const at of [() => 0, (length: number) => length - 1]) {
      flip(path, at);
      const attempts: ((store: Store) => Promise<unknown>)[] = [
        store => store.read(digest, 64 << 20),
        store => store.readMany([sha512(Buffer.from('another')), digest], 64 << 20),
        store => readAll(store.stream(digest)),
        store => store.fetch([digest], {}),
      ];
      for (const attempt of attempts) {
        const reason = await t.throwsAsync(
          attempt(await connectTo(t, served.address)),
          { code: 'STORE_DAMAGED' },
          what,
        );
        t.true(namedIn(reason).includes(hex), what);
      }
      t.deepEqual((await (await connectTo(t, served.address)).check([digest], {})).faults, [
        { digest, state: 'damaged' },
      ]);
      writeFileSync(path, good);
    }
    await told(t, served, new RegExp(`damaged.*${hex}`));
    t.deepEqual(await (await connectTo(t, served.address)).read(digest, 64 << 20), good);
  }
  const record = join(served.root, namedPath(IMAGES, 's/1'));
  for (let at = 0, size = readFileSync(record).length; at < size; at += 41) {
    const good = readFileSync(record);
    flip(record, () => at);
    await t.throwsAsync(
      (await connectTo(t, served.address)).image('s/1'),
      { code: 'STORE_DAMAGED' },
      String(at),
    );
    writeFileSync(record, good);
  }
});

/** Stores a manifest, and returns the record that an honest client would make of it. */
async function storeManifest(to: Store, name: string, entries: readonly Entry[]): Promise<ImageRecord> {
  const writer = manifestWriter();
  const ended = entries.map(entry => writer.add(entry));
  const { page, index } = writer.finish();
  for (const each of [...ended, page, index]) if (each !== undefined) await to.put(each.bytes);
  const { entries: count, bytes } = index.index;
  return recordOf(name, undefined, { digest: index.digest.toString('hex'), entries: count, bytes });
}

test('an image that lacks something, or whose sizes or record lie, cannot be made', async t => {
  const served = await serve(t, false);
  const store = await connectTo(t, served.address);
  const [first, second] = [Buffer.from('the first'), Buffer.from('another')];
  await store.put(first);
  const whole = treeOf(['the first', 'another']);
  const lacking = await storeManifest(store, 's/1', whole);
  const refusal = await t.throwsAsync(store.create(lacking, {}), { code: 'STORE_DAMAGED' });
  t.regex(namedIn(refusal), new RegExp(sha512(second).toString('hex')));
  await store.put(second);

  const lyingAbout = (change: (file: Entry & { type: 'file' }) => Entry): Entry[] =>
    whole.map((entry, at) => (at === 1 && entry.type === 'file' ? change(entry) : entry));
  const invalid: [what: string, Entry[]][] = [
    ['a size', lyingAbout(file => ({ ...file, size: file.size + 1n }))],
    [
      'two sizes of one object',
      [...whole, { ...(whole[1] as Entry & { type: 'file' }), path: Buffer.from('z'), size: 3n }],
    ],
    ['a file without its directory', [...whole, { ...whole[1]!, path: Buffer.from('nowhere/z') }]],
  ];
  for (const [what, entries] of invalid) {
    const reason = await t.throwsAsync(
      store.create(await storeManifest(store, 's/1', entries), {}),
      undefined,
      what,
    );
    t.regex(codeOf(reason), /^(STORE_DAMAGED|IMAGE_INVALID)$/, what);
  }
  const records: [what: string, Partial<ImageRecord>][] = [
    ['entries', { entries: lacking.entries + 1 }],
    ['bytes', { bytes: lacking.bytes - 1n }],
    ['no manifest', { digest: sha512(first).toString('hex') }],
    ['a manifest that is not there', { digest: sha512(Buffer.from('?')).toString('hex') }],
    ['an annotation that is not there', { annotations: { note: sha512(Buffer.from('?')).toString('hex') } }],
  ];
  for (const [what, more] of records) {
    const reason = await t.throwsAsync(store.create({ ...lacking, ...more }, {}), undefined, what);
    t.regex(codeOf(reason), /^(STORE_DAMAGED|IMAGE_INVALID)$/, what);
  }
  t.deepEqual(await store.list(), []);
  await store.create(lacking, {});
  t.is((await store.list()).length, 1);
});

const inPieces = (bytes: Buffer): AsyncIterable<Buffer> =>
  (async function* () {
    for (let at = 0; at < bytes.length; at += 65_536) yield Promise.resolve(bytes.subarray(at, at + 65_536));
  })();

test('a large object whose connections break goes on where it was, both ways', async t => {
  const served = await serve(t, true);
  const { port } = parseAddress(served.address, 0) as { port: number };
  const proxy = await cuttingProxy(t, port);
  const store = await connectTo(t, proxy.where, certs);
  const bytes = randomBytes(24 << 20);
  proxy.cutEvery(3 << 20);
  const { digest, added } = await store.putStream(inPieces(bytes));
  t.true(added);
  t.true(proxy.cuts() >= 7, String(proxy.cuts()));
  // What was on its way when a connection was cut comes twice, which may be nearly all that came by it.
  t.true(proxy.sent() < bytes.length * 4, `${String(proxy.sent())} bytes were sent`);
  const before = proxy.answered();
  t.true((await readAll(store.stream(digest))).equals(bytes));
  t.true(proxy.answered() - before < bytes.length * 4);
  t.true(proxy.cuts() >= 14, String(proxy.cuts()));
});

test('a large object of which a bit is flipped on the way goes on where it was, both ways', async t => {
  const served = await serve(t, true);
  const { port } = parseAddress(served.address, 0) as { port: number };
  const proxy = await cuttingProxy(t, port);
  const store = await connectTo(t, proxy.where, certs);
  const bytes = randomBytes(24 << 20);
  proxy.flipAfter(10 << 20);
  const { digest, added } = await store.putStream(inPieces(bytes));
  t.true(added);
  proxy.flipAfter(10 << 20);
  t.true((await readAll(store.stream(digest))).equals(bytes));
});

/** Makes one request at a Unix socket; resolves to its status and body. */
async function ask(
  where: string,
  options: { method: string; path: string; headers?: Record<string, string | number> },
  body: Buffer = Buffer.alloc(0),
): Promise<{ status: number; text: string }> {
  const sent = request({ socketPath: where.slice('unix:'.length), ...options });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).on('error', reject).once('socket', outliveErrors);
  });
  sent.end(body);
  const answer = await response;
  return { status: answer.statusCode ?? 0, text: (await readAll(answer)).toString() };
}

test('what is sent under a wrong digest, or is longer or shorter than said, is refused', async t => {
  const served = await serve(t, false);
  const { address: where } = served;
  const store = await connectTo(t, where);
  const bytes = randomBytes(2 << 20);
  const put = (digest: Buffer, length: number, body = bytes, offset = 0) =>
    ask(
      where,
      {
        method: 'PUT',
        path: `${OBJECTS_PATH}/${digest.toString('hex')}`,
        headers: { [UPLOAD_OFFSET]: offset, [UPLOAD_LENGTH]: length },
      },
      body,
    );
  const wrong = await put(sha512(Buffer.from('?')), bytes.length);
  t.is(wrong.status, 400);
  t.regex(wrong.text, /has another digest/);
  t.is((await put(sha512(bytes), bytes.length - 1)).status, 400);
  t.is((await put(sha512(bytes), bytes.length + 1)).status, 503, 'the rest may come yet');
  t.is(
    (await put(sha512(bytes), bytes.length, bytes.subarray(5), 5)).status,
    503,
    'that is no place to go on',
  );
  const small = Buffer.from('a small one');
  const many = await ask(
    where,
    { method: 'PUT', path: OBJECTS_PATH },
    Buffer.concat([sentHead(sha512(Buffer.from('?')), small.length), small]),
  );
  t.is(many.status, 400);
  t.deepEqual(await store.has([sha512(Buffer.from('?')), sha512(small)]), [false, false]);
  const others = randomBytes(2 << 20);
  t.is((await put(sha512(others), others.length, others)).status, 201);
  t.is((await put(sha512(others), others.length, others)).status, 200);
});

test('requests that are no requests of ours are refused, and the server goes on', async t => {
  const { address: where } = await serve(t, false);
  const hex = sha512(Buffer.from('?')).toString('hex');
  const requests: [method: string, path: string, headers: Record<string, string>, body?: Buffer][] = [
    ['GET', '/', {}],
    ['GET', '//', {}],
    ['GET', '//[', {}],
    ['DELETE', `${OBJECTS_PATH}/${hex}`, {}],
    ['GET', `${OBJECTS_PATH}/${hex.toUpperCase()}`, {}],
    ['GET', `${OBJECTS_PATH}/../../etc/passwd`, {}],
    ['GET', `${OBJECTS_PATH}/${hex}`, { range: 'bytes=5-' }],
    ['PUT', `${OBJECTS_PATH}/${hex}`, {}],
    ['PUT', `${OBJECTS_PATH}/${hex}`, { [UPLOAD_OFFSET]: '-1', [UPLOAD_LENGTH]: '5' }],
    ['PUT', `${OBJECTS_PATH}/${hex}`, { [UPLOAD_OFFSET]: '0', [UPLOAD_LENGTH]: '9999999999999999' }],
    ['POST', OBJECTS_PATH, {}, Buffer.alloc(63)],
    ['POST', OBJECTS_PATH, {}, Buffer.alloc(64 * 16_385)],
    ['POST', `${OBJECTS_PATH}?limit=x`, {}, Buffer.alloc(64)],
    ['PUT', OBJECTS_PATH, {}, Buffer.alloc(71)],
    ['PUT', OBJECTS_PATH, {}, sentHead(Buffer.alloc(64), 2 ** 52)],
    ['PUT', `/v1/disk-maps/${hex}/${'0'.repeat(64)}`, {}, Buffer.alloc(1000)],
  ];
  for (const [method, path, headers, body] of requests) {
    const { status, text } = await ask(where, { method, path, headers }, body);
    t.true(status >= 400 && status < 600 && status !== 500, `${method} ${path}: ${String(status)} ${text}`);
  }
  t.deepEqual(await (await connectTo(t, where)).list(), []);
});
