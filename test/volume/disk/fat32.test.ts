import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { FatFile } from '../../../src/volume/disk/fat32.js';
import { encodeFat32 } from '../../../src/volume/disk/fat32.js';
import { needs } from '../../needs.js';
import { temporaryDirectory } from '../../temporary-directory.js';

const MIB = 1 << 20;
const fatTest = needs('FAT as other programs read it', { programs: ['fsck.vfat', 'mcopy'] });

const name = fc.oneof(
  fc.stringMatching(/^[A-Z]{1,8}(\.[A-Z]{1,3})?$/),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9 _+.-]{0,40}[a-z0-9]$/),
);
const files: fc.Arbitrary<FatFile[]> = fc.uniqueArray(
  fc.record({
    path: fc
      .tuple(fc.constantFrom('d1/', 'd2/deep/', 'EFI/BOOT/', 'long directory name/'), name)
      .map(parts => parts.join('')),
    bytes: fc.integer({ min: 0, max: 5000 }).map(size => Buffer.alloc(size, `${String(size)} `)),
  }),
  { maxLength: 60, selector: ({ path }) => path.toUpperCase() },
);

function make(list: readonly FatFile[], size = 40 * MIB): Buffer {
  return encodeFat32({ size, firstSector: 4096, serial: 0x1234_abcd, label: 'EFI', files: list });
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

function filesBelow(directory: string): string[] {
  const all = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map(path =>
    join(directory, path),
  );
  return all.filter(path => statSync(path).isFile());
}

fatTest('fsck finds nothing wrong, and other programs read what was written', t => {
  fc.assert(
    fc.property(files, fc.constantFrom(34, 40, 300), (list, mib) => {
      const directory = temporaryDirectory(t);
      const image = join(directory, 'esp');
      writeFileSync(image, make(list, mib * MIB));
      truncateSync(image, mib * MIB);
      const { status, stdout } = spawnSync('fsck.vfat', ['-n', image], { encoding: 'utf8' });
      t.is(status, 0, stdout);
      const out = join(directory, 'out');
      mkdirSync(out);
      if (list.length > 0)
        execFileSync('mcopy', ['-s', '-n', '-i', image, '::*', out], {
          env: { ...process.env, MTOOLS_SKIP_CHECK: '1' },
        });
      const read = filesBelow(out).map(path => [relative(out, path), digestOf(readFileSync(path))]);
      t.deepEqual(read.sort(), list.map(({ path, bytes }) => [path, digestOf(bytes)]).sort());
    }),
    { numRuns: 15 },
  );
});

test('the order in which files are named makes no difference', t => {
  fc.assert(
    fc.property(files, list => {
      t.true(make(list).equals(make([...list].reverse())));
    }),
    { numRuns: 20 },
  );
});

test('what does not fit is refused, and the size that is named would do', t => {
  const big = [{ path: 'kernel', bytes: Buffer.alloc(50 * MIB, 1) }];
  const refusal = t.throws(() => make(big), { code: 'NO_SPACE', message: /--esp-size \d+MiB/ });
  const { needed } = (refusal as unknown as { subject: { needed: number } }).subject;
  t.notThrows(() => make(big, needed));
  t.throws(() => make([], 20 * MIB), { code: 'USAGE' });
  for (const path of ['a:b', 'a/../b', 'end.', 'é'])
    t.throws(() => make([{ path, bytes: Buffer.alloc(1) }]), { code: 'IMAGE_UNSUPPORTED' }, path);
  const twice = ['File', 'fILE'].map(path => ({ path, bytes: Buffer.alloc(1) }));
  t.throws(() => make(twice), { code: 'IMAGE_UNSUPPORTED' });
});
