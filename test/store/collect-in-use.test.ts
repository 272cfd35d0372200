import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { gather } from '../gather.js';
import { temporaryDirectory } from '../temporary-directory.js';

/** A process that uses the store (store-user.ts), and is gone at the end of the test. */
class User {
  readonly #process;
  readonly #answers: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  constructor(t: ExecutionContext, location: string) {
    const script = new URL('store-user.ts', import.meta.url).pathname;
    this.#process = spawn(process.execPath, ['--import=tsx', script, location], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#ended = once(this.#process, 'exit');
    this.#process.stdin.on('error', () => undefined);
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    t.teardown(() => this.kill());
  }

  /** Makes a call and waits for its result. */
  async call(...call: string[]): Promise<unknown> {
    this.#process.stdin.write(`${JSON.stringify(call)}\n`);
    const { value } = (await this.#answers.next()) as { value: string | undefined };
    if (value === undefined) throw new Error(`the process ended at ${call.join(' ')}`);
    const { result, error } = JSON.parse(value) as { result: unknown; error?: string };
    if (error !== undefined) throw new Error(`${call.join(' ')}: ${error}`);
    return result;
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }
}

async function makeStore(t: ExecutionContext): Promise<string> {
  const location = join(temporaryDirectory(t), 'store');
  const store = await openLocalStore(location, { create: true });
  await store.put(Buffer.from('garbage'));
  await store.put(Buffer.from('rubbish'));
  await store.close();
  return location;
}

function has(location: string, text: string): boolean {
  const hex = sha512(Buffer.from(text)).toString('hex');
  return existsSync(join(location, 'objects/sha512', hex.slice(0, 2), hex));
}

test('what an uploader has found or stored stays, and is collected when he is killed', async t => {
  const location = await makeStore(t);
  const [uploader, collector] = [new User(t, location), new User(t, location)];
  t.true(await uploader.call('has', 'garbage'));
  t.true(await uploader.call('put', 'new'));
  t.like(await collector.call('collect'), { removedObjects: 0, heldObjects: 3 });
  await uploader.call('create', 's/1', 'garbage');
  await uploader.call('close');
  // Those that storeImage stores besides, one, two and three, are collected the next time.
  t.like(await collector.call('collect'), { images: 1, removedObjects: 5 });
  t.true(has(location, 'garbage'));
  t.false(has(location, 'new'));
  t.true(await uploader.call('put', 'late'));
  await uploader.kill();
  t.like(await collector.call('collect'), { removedObjects: 1, heldObjects: 0 });
  t.deepEqual(readdirSync(join(location, 'leases')), []);
  t.deepEqual(readdirSync(join(location, 'condemned')), []);
});

test('what a reader reads stays, though its image is deleted', async t => {
  const location = await makeStore(t);
  const [reader, other] = [new User(t, location), new User(t, location)];
  await other.call('create', 's/1', 'garbage');
  t.is(await reader.call('read', 'garbage'), 'garbage');
  await other.call('remove', 's/1');
  await other.call('close');
  const { heldObjects } = (await other.call('collect')) as { heldObjects: number };
  t.true(heldObjects >= 3);
  t.is(await reader.call('read', 'garbage'), 'garbage');
  await reader.call('close');
  await other.call('collect');
  t.false(has(location, 'garbage'));
});

for (const [title, call, answer] of [
  ['stores the same', 'put', false],
  ['asks how large it is', 'size', 'garbage'.length],
] as const) {
  test(`who comes while others keep a collection waiting, and ${title}, knows of it and keeps what he needs`, async t => {
    const location = await makeStore(t);
    const [old, fresh, collector] = [new User(t, location), new User(t, location), new User(t, location)];
    t.true(await old.call('has', 'garbage'));
    t.like(await collector.call('collect'), { removedObjects: 0, heldObjects: 2 });
    t.is(await fresh.call(call, 'garbage'), answer);
    await old.call('close');
    // The list is finished though `fresh` still uses the store.
    t.like(await collector.call('collect'), { removedObjects: 1 });
    t.true(has(location, 'garbage'));
    t.false(has(location, 'rubbish'));
    await fresh.call('create', 's/1', 'garbage');
    await fresh.call('close');
    await collector.call('collect');
    t.true(has(location, 'garbage'));
  });
}

test('a list that is damaged deletes nothing, and one that was not finished is', async t => {
  const location = await makeStore(t);
  const collector = new User(t, location);
  mkdirSync(join(location, 'condemned'));
  writeFileSync(join(location, 'condemned', 'ab'.repeat(12)), sha512(Buffer.from('garbage')).subarray(0, 16));
  writeFileSync(join(location, 'condemned', `${'cd'.repeat(12)}.new`), 'x');
  t.like(await collector.call('collect'), { removedObjects: 2 });
  t.deepEqual(readdirSync(join(location, 'condemned')), []);
});

test('images that many make, delete and read are whole, whatever is collected and killed meanwhile', async t => {
  const location = await makeStore(t);
  const texts = Array.from({ length: 40 }, (_, at) => `text ${String(at)}`);
  const count = { created: 0, removed: 0, killed: 0, collected: 0 };
  const end = performance.now() + 120_000;
  // On a slow machine less is enough, but not nothing.
  const isDone = (): boolean =>
    performance.now() > end
      ? count.killed > 0 && count.collected > 0
      : count.created >= 60 && count.killed >= 2 && count.collected >= 20;
  const use = async (name: string): Promise<void> => {
    let user = new User(t, location);
    for (let round = 0; !isDone(); round++) {
      const text = texts[(round * round + 11 * name.length) % texts.length]!;
      const image = `s/${name}-${String(round)}`;
      await user.call('upload', image, text);
      count.created++;
      if (round % 3 !== 2) {
        await user.call('remove', image);
        count.removed++;
      }
      await user.call('close');
      if (round % 10 !== 9) continue;
      const dying = user.call('upload', `${image}-killed`, text).catch(() => undefined);
      await user.kill();
      await dying;
      count.killed++;
      user = new User(t, location);
    }
  };
  const collecting = async (): Promise<void> => {
    const collector = new User(t, location);
    while (!isDone()) {
      const { removedObjects } = (await collector.call('collect')) as { removedObjects: number };
      count.collected += removedObjects;
    }
  };
  await Promise.all([use('a'), use('bb'), use('ccc'), collecting()]);
  t.log(JSON.stringify(count));
  t.true(count.killed > 0 && count.collected > 0);
  const store = await openLocalStore(location);
  for (const { digest } of await store.list()) {
    const manifest = await ManifestReader.open(store, Buffer.from(digest, 'hex'));
    for (const entry of await gather(manifest.entries()))
      if (entry.type === 'file') await t.notThrowsAsync(store.read(entry.digest!, 100));
  }
  await store.close();
});
