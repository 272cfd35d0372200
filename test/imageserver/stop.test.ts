import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import test from 'ava';
import { openLocalStore } from '../../src/store/local/store.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { connectTo, serveStore } from './serving.js';

test('a server that is stopped lets a transfer come to its end, and cuts off one that does not', async t => {
  const location = join(temporaryDirectory(t), 'store');
  const local = await openLocalStore(location, { create: true });
  t.teardown(() => local.close());
  const bytes = randomBytes(64 << 20);
  const { digest } = await local.put(bytes);
  for (const goesOn of [true, false]) {
    const { address, server } = await serveStore(t, location);
    const chunks = (await connectTo(t, address)).stream(digest)[Symbol.asyncIterator]();
    const first = (await chunks.next()) as { value: Buffer };
    // A test that waits for so long ends by its timeout.
    const stopped = server.stop(goesOn ? 3600 : 1);
    if (!goesOn) {
      await t.notThrowsAsync(stopped);
      await chunks.return?.();
      continue;
    }
    let size = first.value.length;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next())
      size += next.value.length;
    t.is(size, bytes.length);
    await stopped;
  }
});
