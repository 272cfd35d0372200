import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { normaliseAcl } from '../../src/image/acl.js';
import { decodeDiskMap, DISK_BLOCK_SIZE, encodeDiskMap } from '../../src/image/disk-map.js';
import { parseFilter } from '../../src/image/filter.js';
import { decodeRecord, encodeRecord } from '../../src/store/record.js';
import { golden } from '../golden.js';
import { ModelDisk } from '../model/disk.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';
import type { Cases, Target } from './target.js';
import { accepts, must } from './target.js';

const hash = (algorithm: string, bytes: Buffer): Buffer => createHash(algorithm).update(bytes).digest();

/** Records of images, sealed again most of the time: else nothing behind the seal would ever be read. */
export const recordTarget: Target = {
  name: 'record',
  prepare: () => {
    const plain = decodeRecord(golden('record'), 'golden');
    const records = [
      plain,
      { ...plain, expiresAt: '2026-01-01T00:00:00.000Z', bytes: 2n ** 62n, tags: { a: '\u00e4"\\', b: '' } },
    ].map(record => encodeRecord(record));
    return Promise.resolve({
      attempt: (random: Random) =>
        accepts(['STORE_DAMAGED'], () => {
          const record = random.of(records);
          const json = mutate(record.subarray(0, record.indexOf(0x0a)), random, random.of(records));
          const seal = random.onceIn(8) ? 'x' : hash('sha512', json).toString('hex');
          const bytes = Buffer.concat([json, Buffer.from(`\nsha512 ${seal}\n`)]);
          const read = decodeRecord(bytes, 'file');
          must(
            isDeepStrictEqual(decodeRecord(encodeRecord(read), 'file'), read),
            'it is not kept as it was read',
          );
        }),
    } satisfies Cases);
  },
};

/** Maps of disks, with a right check most of the time. What is accepted has no other encoding. */
export const diskMapTarget: Target = {
  name: 'disk map',
  prepare: () => {
    const maps = [{}, { 0: 1 }, { 0: 1, 7: 2, 8: 3, 20: 4 }].map(fills =>
      encodeDiskMap(ModelDisk.of(fills, 24 * DISK_BLOCK_SIZE).map),
    );
    return Promise.resolve({
      attempt: (random: Random) =>
        accepts(['STORE_DAMAGED', 'UNSUPPORTED'], () => {
          const content = mutate(random.of(maps).subarray(0, -32), random, random.of(maps));
          const check = random.onceIn(8) ? Buffer.alloc(32) : hash('sha256', content);
          const bytes = Buffer.concat([content, check]);
          must(encodeDiskMap(decodeDiskMap(bytes)).equals(bytes), 'it is encoded otherwise');
        }),
    } satisfies Cases);
  },
};

const ACL =
  '02000000' +
  '01000700ffffffff' +
  '02000700e8030000' +
  '04000500ffffffff' +
  '10000700ffffffff' +
  '20000500ffffffff';

/** Access control lists: to bring one into its form twice makes no difference. */
export const aclTarget: Target = {
  name: 'ACL',
  prepare: () => {
    const acls = [ACL, ACL.slice(0, 24)].map(hex => Buffer.from(hex, 'hex'));
    return Promise.resolve({
      attempt: (random: Random) =>
        accepts(['IMAGE_INVALID'], () => {
          const name = Buffer.from(random.of(['system.posix_acl_access', 'system.posix_acl_default']));
          const value = mutate(random.of(acls), random, random.of(acls));
          const once = normaliseAcl(random.below(0o10000), [{ name, value }], 'directory');
          const twice = normaliseAcl(once.mode, once.xattrs, 'directory');
          must(isDeepStrictEqual(once, twice), 'its form is not the last');
        }),
    } satisfies Cases);
  },
};

/** Filters: nothing but an expression that is none is wrong with them. */
export const filterTarget: Target = {
  name: 'filter',
  prepare: () => {
    const filters = ['!\n/etc/(hosts|motd)$\n#x\n\n/a[b-c]+\n', '/proc/.\n', '(?<a>x)\\k<a>{2,3}\n'].map(
      text => Buffer.from(text),
    );
    return Promise.resolve({
      attempt: (random: Random) =>
        accepts(['CONFIGURATION'], () =>
          parseFilter(mutate(random.of(filters), random, random.of(filters)), 'file'),
        ),
    } satisfies Cases);
  },
};
