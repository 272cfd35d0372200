import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { OBJECTS_PATH, UPLOAD_LENGTH, UPLOAD_OFFSET } from '../../src/rpc/image-server-messages.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { partsOf } from '../../src/store/object-parts.js';
import type { Store } from '../../src/store/store.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { connectTo, serveStore } from './serving.js';

const MIB = 1 << 20;

/** A connection to a server on a Unix socket, on which nothing is read yet. */
async function connection(t: ExecutionContext, address: string): Promise<Socket> {
  const socket = connect(address.slice('unix:'.length)).pause();
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  // One that is refused may be ended before this is heard of.
  await new Promise(resolve => socket.once('connect', resolve).once('close', resolve));
  return socket;
}

const get = (digest: Buffer): string =>
  `GET ${OBJECTS_PATH}/${digest.toString('hex')} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

/** Looks again and again until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(10);
}

/** What comes up to the end of a connection, and how many bytes follow the head. */
async function answerOf(socket: Socket): Promise<{ head: string; body: Buffer }> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  const all = Buffer.concat(chunks);
  const end = all.indexOf('\r\n\r\n') + 4;
  return { head: all.subarray(0, end).toString(), body: all.subarray(end) };
}

test('slow readers have little in the memory of the server, and hold up nobody', async t => {
  const location = join(temporaryDirectory(t), 'store');
  const bytes = randomBytes(48 * MIB);
  let [begun, read] = [0, 0];
  const openStore = async () => {
    const local = await openLocalStore(location, { create: true });
    const parts = partsOf(local);
    // Tells what was read of objects, and is a local store else.
    const counting = {
      sizes: (digests: readonly Buffer[]) => parts.sizes(digests),
      part: async function* (digest: Buffer, start: number, end: number) {
        begun++;
        for await (const chunk of parts.part(digest, start, end)) {
          read += chunk.length;
          yield chunk;
        }
      },
    };
    return Object.assign(local, { parts: counting }) as Store;
  };
  const { address } = await serveStore(t, location, { openStore });
  const local = await openLocalStore(location);
  const { digest } = await local.put(bytes);
  await local.close();
  const slow = await Promise.all(Array.from({ length: 8 }, () => connection(t, address)));
  for (const socket of slow) socket.write(get(digest));
  await until(() => begun === slow.length);
  const whole: Buffer[] = [];
  for await (const chunk of (await connectTo(t, address)).stream(digest)) whole.push(chunk);
  t.true(Buffer.concat(whole).equals(bytes));
  // For each: what the socket holds, one piece that waits, and one that is read.
  const held = read - bytes.length;
  t.true(held <= slow.length * 4 * MIB, `${String(held / MIB)} MiB were read for ${String(slow.length)}`);
  const { head, body } = await answerOf(slow[0]!);
  t.regex(head, /^HTTP\/1\.1 200 /);
  t.true(body.equals(bytes), 'it takes as long as it takes');
});

test('who stalls is cut off, in the middle of a body or an answer, and others carry on', async t => {
  const location = join(temporaryDirectory(t), 'store');
  const { address, told } = await serveStore(t, location, { silenceMilliseconds: 2000 });
  const bytes = randomBytes(32 * MIB);
  const digest = sha512(bytes);
  const sender = await connection(t, address);
  const head = [
    `PUT ${OBJECTS_PATH}/${digest.toString('hex')} HTTP/1.1`,
    'Host: a',
    `${UPLOAD_OFFSET}: 0`,
    `${UPLOAD_LENGTH}: ${String(bytes.length)}`,
    `Content-Length: ${String(bytes.length)}`,
  ];
  sender.write(`${head.join('\r\n')}\r\n\r\n`);
  sender.write(bytes.subarray(0, 3 * MIB));
  sender.resume();
  await new Promise(resolve => sender.once('close', resolve));
  const givenUp = (): number => told.filter(({ message }) => message === 'a request failed').length;
  await until(() => givenUp() > 0);
  const store = await connectTo(t, address);
  const { added } = await store.putStream(
    (async function* () {
      yield Promise.resolve(bytes);
    })(),
  );
  t.true(added);
  const before = givenUp();
  const reader = await connection(t, address);
  reader.write(get(digest));
  // It reads on only when the server has given it up.
  await until(() => givenUp() > before);
  const { body } = await answerOf(reader).catch(() => ({ body: Buffer.alloc(0) }));
  t.true(body.length < bytes.length);
  t.true((await store.read(digest, bytes.length)).equals(bytes));
});

test('one object that several send at once is stored once, and all of them are told so', async t => {
  const location = join(temporaryDirectory(t), 'store');
  const { address } = await serveStore(t, location);
  const bytes = randomBytes(24 * MIB);
  const pieces = async function* () {
    for (let at = 0; at < bytes.length; at += MIB) yield Promise.resolve(bytes.subarray(at, at + MIB));
  };
  const stores = await Promise.all(Array.from({ length: 3 }, () => connectTo(t, address)));
  const stored = await Promise.all(stores.map(store => store.putStream(pieces())));
  for (const { digest } of stored) t.true(digest.equals(sha512(bytes)));
  t.true((await stores[0]!.read(sha512(bytes), bytes.length)).equals(bytes));
  const sessions = readdirSync(join(location, 'tmp'), { recursive: true, encoding: 'utf8' });
  t.deepEqual(
    sessions.filter(name => /object-/.test(name)),
    [],
    'nothing is left of the others',
  );
});

test('as many connections are served as are allowed, and no more', async t => {
  // Each takes two descriptors of this process.
  const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))!;
  const most = Math.min(10_000, (Number(limit) - readdirSync('/proc/self/fd').length) / 2 - 100);
  const maxConnections = Math.floor(most);
  const location = join(temporaryDirectory(t), 'store');
  const { address, told } = await serveStore(t, location, { maxConnections });
  const bytes = Buffer.from('an object');
  const local = await openLocalStore(location);
  await local.put(bytes);
  await local.close();
  const asked = `HEAD ${OBJECTS_PATH}/${sha512(bytes).toString('hex')} HTTP/1.1\r\nHost: a\r\n\r\n`;
  /** What a connection is answered; nothing if it is ended. */
  const answer = async (socket: Socket): Promise<string> => {
    const first = new Promise<string>(resolve => {
      socket.once('data', (data: Buffer) => resolve(data.toString())).once('close', () => resolve(''));
    });
    socket.write(asked);
    socket.resume();
    return first;
  };
  const open: Socket[] = [];
  while (open.length < maxConnections) {
    const some = Math.min(100, maxConnections - open.length);
    const sockets = await Promise.all(Array.from({ length: some }, () => connection(t, address)));
    const answers = await Promise.all(sockets.map(answer));
    t.true(answers.every(text => text.startsWith('HTTP/1.1 200')));
    open.push(...sockets);
  }
  for (let more = 0; more < 20; more++) t.is(await answer(await connection(t, address)), '');
  t.is(told.filter(({ message }) => message === 'a connection was refused').length, 20);
  for (const socket of open.slice(0, 20)) t.regex(await answer(socket), /^HTTP\/1\.1 200/);
  for (const socket of open) socket.destroy();
  // The server hears of it after that.
  let isServed = false;
  while (!isServed) isServed = (await answer(await connection(t, address))).startsWith('HTTP/1.1 200');
  t.deepEqual(await (await connectTo(t, address)).list(), []);
});
