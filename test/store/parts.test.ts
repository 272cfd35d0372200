import { join } from 'node:path';
import test from 'ava';
import { LocalParts } from '../../src/store/local/parts.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { gather } from '../gather.js';
import { temporaryDirectory } from '../temporary-directory.js';

const READERS = 40;
const BYTES = (600 << 10) + 1;

test('many who read at once each get their object, and few large buffers are made for them', async t => {
  const location = join(temporaryDirectory(t), 'store');
  const store = await openLocalStore(location, { create: true });
  t.teardown(() => store.close());
  const objects: { bytes: Buffer; digest: Buffer }[] = [];
  for (let number = 0; number < READERS; number++) {
    const bytes = Buffer.alloc(BYTES, `object ${String(number)} `);
    objects.push({ bytes, digest: (await store.put(bytes)).digest });
  }
  const parts = new LocalParts(store, location);
  const large = new Set<ArrayBufferLike>();
  for (let round = 1; round <= 3; round++) {
    const readers = objects.map(({ digest }) => parts.part(digest, 1, BYTES)[Symbol.asyncIterator]());
    const read = objects.map(() => [] as Buffer[]);
    for (let left = READERS; left > 0;) {
      const pieces = await Promise.all(readers.map(reader => reader.next()));
      left = READERS - pieces.filter(({ done }) => done === true).length;
      // Each is good until the next one is asked for.
      for (const [at, { done, value }] of pieces.entries()) {
        if (done === true) continue;
        read[at]!.push(Buffer.from(value));
        if (value.buffer.byteLength > 64 << 10) large.add(value.buffer);
      }
    }
    for (const [at, { bytes }] of objects.entries())
      t.true(Buffer.concat(read[at]!).equals(bytes.subarray(1)));
  }
  t.true(large.size > 0 && large.size <= 16, String(large.size));
  t.deepEqual(Buffer.concat(await gather(parts.part(objects[0]!.digest, 3, 9))).toString(), 'ect 0 ');
});
