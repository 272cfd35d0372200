import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readSource } from '../../../src/source/read-source.js';
import { openS3Store } from '../../../src/store/s3/open.js';
import { withMoto } from '../../moto.js';
import { treeOptions } from '../../source/memory-sink.js';
import { END, withData } from '../../source/tar/archive.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { FaultyProxy } from './faulty-proxy.js';
import { MotoBucket } from './s3-under-test.js';

const run = withMoto('S3 that is far away');
const bucket = run === test ? MotoBucket.during(test) : undefined;
const FILES = 600;
const AT_ONCE = 30;

run('many small files of an archive wait for each other neither there nor back', async t => {
  const directory = temporaryDirectory(t);
  const members = Array.from({ length: FILES }, (_, at) =>
    withData({ name: `file-${String(at)}` }, `content ${String(at % (FILES - 5))}`),
  );
  const archive = join(directory, 'archive.tar');
  writeFileSync(archive, Buffer.concat([...members, END]));
  const proxy = await FaultyProxy.before(bucket!.config.endpoint as string);
  t.teardown(() => proxy.stop());
  const store = await openS3Store(bucket!.newLocation(), {
    create: true,
    cache: { directory: join(directory, 'cache'), maxBytes: 1 << 30 },
    config: { ...bucket!.config, endpoint: proxy.endpoint },
  });
  t.teardown(() => store.close());
  await store.has([Buffer.alloc(64)]);
  // So long that also a slow machine asks much in the meantime, and no longer than it takes to see it.
  proxy.latency = () => (proxy.mostAtOnce < AT_ONCE ? 2000 : 0);
  const tree = await readSource(archive, store, { ...treeOptions(), standardInput: process.stdin });
  t.is([...tree.entries()].length, FILES + 1);
  t.is(tree.newObjects, FILES - 5);
  t.true(proxy.mostAtOnce >= AT_ONCE, `${String(proxy.mostAtOnce)} at once`);
});
