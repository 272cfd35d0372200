import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import test from 'ava';
import { withMoto } from '../moto.js';
import { MotoBucket } from '../store/s3/s3-under-test.js';
import { attach, temporaryDirectory } from './ext4-fixture.js';

/*
 * The programs as people call them, with a store on S3: content becomes an image there, the image a volume and a disk here.
 */

const run = withMoto('the programs with a store on S3') as TestFn;
const bucket = run === test ? MotoBucket.during(test) : undefined;

run('content goes by way of S3 to a volume and a published disk', t => {
  const directory = temporaryDirectory(t);
  const [source, device, cache] = ['source', 'device', 'cache'].map(name => join(directory, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(join(source, 'etc'), { recursive: true });
  writeFileSync(join(source, 'etc/motd'), 'hello\n');
  writeFileSync(join(source, 'large'), Buffer.alloc(20_000_000, 'abcdefg'));
  writeFileSync(device, '');
  truncateSync(device, 256 << 20);
  const disk = attach(t, device);
  const env = {
    ...process.env,
    ...bucket!.environment,
    IMAGE_STORE: bucket!.newLocation(),
    IMAGE_CACHE: cache,
  };
  const call = (program: string, ...parameters: string[]): unknown => {
    const ended = spawnSync(`bin/${program}`, [...parameters, '--json'], { encoding: 'utf8', env });
    t.is(ended.status, 0, `${program} ${parameters.join(' ')}: ${ended.stdout}${ended.stderr}`);
    return JSON.parse(ended.stdout);
  };
  t.like(call('imagetool', 'build', 'base/os/1', '--from', source), { newObjects: 2, newBytes: 20_000_006 });
  t.like(call('imagetool', 'build', 'base/os/2', '--from', source), { newObjects: 0, skippedFiles: 2 });
  // What has no holes is sent from where it lies.
  t.false(existsSync(join(cache, 'staging')));
  call('imagetool', 'set-channel', 'base/os@stable', 'base/os/2');
  t.like(call('imagetool', 'verify', 'base/os@stable'), { ok: true });
  const volume = ['--device', disk, '--image', 'base/os@stable', '--state-dir', join(directory, 'state')];
  const applied = ['apply', ...volume, '--format', '--layout', 'whole'];
  t.like(call('image-unpacker', ...applied), { image: 'base/os/2', bytesFetched: 20_000_006 });
  t.like(call('image-unpacker', 'check', ...volume), { identical: true });
  const targets = ['--targets', `local:${join(directory, 'published')}`];
  const state = ['--state-dir', join(directory, 'publisher')];
  const [row] = call('ami-publisher', 'publish', 'base/os', '@stable', ...targets, ...state) as {
    ImageName: string;
    Path: string;
  }[];
  t.is(row?.ImageName, 'base/os/2');
  t.true(existsSync(row!.Path));
  call('imagetool', 'delete', 'base/os/1');
  t.like(call('imagetool', 'gc', '--keep-for', '0s'), { images: 1, removedObjects: 0, heldObjects: 0 });
});
