import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import test from 'ava';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { sha512 } from '../../../src/image/digest.js';
import { Bucket } from '../../../src/store/s3/bucket.js';
import { objectKey } from '../../../src/store/s3/layout.js';
import { parseS3Location } from '../../../src/store/s3/location.js';
import { putFile } from '../../../src/store/s3/multipart.js';
import { S3Objects } from '../../../src/store/s3/objects.js';
import { withMoto } from '../../moto.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { FaultyProxy } from './faulty-proxy.js';
import { BUCKET, keyOf, MotoBucket } from './s3-under-test.js';

const run = withMoto('large objects on S3') as TestFn;
const bucket = run === test ? MotoBucket.during(test) : undefined;

/** Five parts of 8 MiB, the last of them shorter. */
const LARGE = Buffer.alloc(35_000_000);
for (let at = 0; at < LARGE.length; at += 4) LARGE.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
const FACTS = { digest: sha512(LARGE), size: LARGE.length };
const KEY = objectKey(FACTS.digest);

run(
  'a large object is stored in parts, and what an interrupted upload has stored is not sent again',
  async t => {
    const file = join(temporaryDirectory(t), 'large');
    writeFileSync(file, LARGE);
    const proxy = await FaultyProxy.before(bucket!.config.endpoint as string);
    t.teardown(() => proxy.stop());
    const location = bucket!.newLocation();
    const through = (maxAttempts: number): Bucket => {
      const config = { ...bucket!.config, endpoint: proxy.endpoint, maxAttempts };
      const opened = new Bucket(location, parseS3Location(location), { config });
      t.teardown(() => opened.close());
      return opened;
    };
    await (await bucket!.open(t, location)).close();
    // The first write begins the upload.
    proxy.fate = write => (write <= 3 ? 'pass' : 'refuse');
    await t.throwsAsync(putFile(through(1), KEY, file, FACTS));
    t.is(await through(1).head(KEY), undefined);
    proxy.fate = () => 'pass';
    proxy.count = 0;
    await putFile(through(1), KEY, file, FACTS);
    // Two parts, and that it is complete.
    t.is(proxy.count, 3);
    t.true((await bucket!.read(location, KEY)).equals(LARGE));
    const store = await bucket!.open(t, location);
    t.deepEqual((await store.check([FACTS.digest], {})).faults, []);
    t.deepEqual(await store.sizes([FACTS.digest]), [LARGE.length]);
    await store.close();
  },
);

run('a file that is not what was said is not stored', async t => {
  const file = join(temporaryDirectory(t), 'large');
  const location = bucket!.newLocation();
  const opened = new Bucket(location, parseS3Location(location), { config: bucket!.config });
  t.teardown(() => opened.close());
  const changed = Buffer.from(LARGE);
  changed[20_000_000]! ^= 1;
  for (const content of [changed, LARGE.subarray(0, -1)]) {
    writeFileSync(file, content);
    await t.throwsAsync(putFile(opened, KEY, file, FACTS), { code: 'STORE_DAMAGED' });
    t.is(await opened.head(KEY), undefined);
    const { Key } = keyOf(location, KEY);
    const { Uploads: left = [] } = await bucket!.client.send(
      new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: Key }),
    );
    t.deepEqual(left, []);
  }
});

run('two who store the same large object at once both succeed', async t => {
  const location = bucket!.newLocation();
  const stores = [await bucket!.open(t, location), await bucket!.open(t, location)];
  const put = await Promise.all(
    stores.map(store =>
      store.putStream(
        (async function* () {
          for (let at = 0; at < LARGE.length; at += 1 << 20)
            yield Promise.resolve(LARGE.subarray(at, at + (1 << 20)));
        })(),
      ),
    ),
  );
  t.true(put.every(({ digest }) => digest.equals(FACTS.digest)));
  t.deepEqual((await stores[0]!.check([FACTS.digest], {})).faults, []);
  for (const store of stores) await store.close();
});

run('a connection that breaks while an object comes is taken up again where it was', async t => {
  const location = bucket!.newLocation();
  const store = await bucket!.open(t, location);
  await bucket!.write(location, KEY, LARGE);
  const proxy = await FaultyProxy.before(bucket!.config.endpoint as string);
  t.teardown(() => proxy.stop());
  proxy.cutAfter = 10_000_000;
  const opened = new Bucket(location, parseS3Location(location), {
    config: { ...bucket!.config, endpoint: proxy.endpoint, maxAttempts: 1 },
  });
  t.teardown(() => opened.close());
  const chunks: Buffer[] = [];
  for await (const chunk of new S3Objects(opened).stream(FACTS.digest)) chunks.push(chunk);
  t.true(Buffer.concat(chunks).equals(LARGE));
  t.true(proxy.cuts >= 3);
  await store.close();
});
