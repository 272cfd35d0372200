import type { TestFn } from 'ava';
import test from 'ava';
import { objectKey } from '../../../src/store/s3/layout.js';
import type { MakeStore, StoreUnderTest } from '../../contract/store.js';
import { testStore } from '../../contract/store.js';
import { withMoto } from '../../moto.js';
import { MotoBucket } from './s3-under-test.js';

const run = withMoto('a store on S3') as TestFn;
const bucket = run === test ? MotoBucket.during(test) : undefined;

const make: MakeStore = async t => {
  const s3 = bucket!;
  const location = s3.newLocation();
  const change = async (key: string, how: 'changed' | 'short' | 'empty'): Promise<void> => {
    const bytes = await s3.read(location, key);
    if (how === 'changed') bytes[bytes.length - 1]! ^= 1;
    await s3.write(location, key, how === 'empty' ? '' : how === 'short' ? bytes.subarray(0, -1) : bytes);
  };
  const damage: StoreUnderTest['damage'] = async (digest, how) => {
    if (how === 'missing') await s3.delete(location, objectKey(digest));
    else await change(objectKey(digest), how);
  };
  return {
    store: await s3.open(t, location),
    reopen: () => s3.open(t, location),
    damage,
    damageMap: (image, disk) => change(`disk-maps/${image}/${disk.toString('hex')}`, 'changed'),
    damageChannel: (stream, name) => s3.write(location, `channels/${stream}/@${name}`, 'x'),
  };
};

testStore(run, 's3', make);
