import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import fc from 'fast-check';
import { LocalTarget } from '../../../src/cloud/local/local-target.js';
import { qcow2Format } from '../../../src/cloud/local/qcow2.js';
import { DISK_BLOCK_SIZE } from '../../../src/image/disk-map.js';
import { ModelDisk } from '../../model/disk.js';
import { needs } from '../../needs.js';
import { temporaryDirectory } from '../../temporary-directory.js';

/** QEMU's own program, which must find nothing wrong with what we write. */
const QEMU_IMG = 'qemu-img';
const withQemu = needs('qcow2 as qemu-img reads it', { programs: [QEMU_IMG] });

function qemuImg(t: ExecutionContext, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(QEMU_IMG, args, { encoding: 'utf8' });
  t.is(status, 0, stdout + stderr);
  return stdout;
}

function checkWithQemu(t: ExecutionContext, path: string, disk: ModelDisk): void {
  const found = JSON.parse(qemuImg(t, 'check', '--output=json', path)) as Record<string, unknown>;
  t.is(found['check-errors'], 0);
  t.is(found['corruptions'], undefined);
  t.is(found['leaks'], undefined);
  const raw = join(temporaryDirectory(t), 'raw');
  disk.write(raw);
  qemuImg(t, 'compare', '-f', 'raw', '-F', 'qcow2', raw, path);
}

async function open(t: ExecutionContext): Promise<LocalTarget> {
  const target = await LocalTarget.open(temporaryDirectory(t), { format: 'qcow2', write: true });
  t.teardown(() => target.close());
  return target;
}

/** Sizes at the edges of clusters, blocks and tables: an L2 table is for 512 MiB. */
const SIZES = [512, 65_536, 65_536 + 512, DISK_BLOCK_SIZE * 3 + 4096, (512 << 20) + 512, 3 * (512 << 20)];

for (const size of SIZES) {
  withQemu(`qemu-img has nothing against a disk of ${String(size)} bytes`, async t => {
    const target = await open(t);
    const last = Math.ceil(size / DISK_BLOCK_SIZE) - 1;
    for (const [token, fills] of [
      ['empty', {}],
      ['ends', { 0: 1, [last]: 2 }],
    ] as const) {
      const disk = ModelDisk.of(fills, size);
      const request = { token, content: disk.content(), parent: undefined, tags: {} };
      const { path } = await target.register((await target.createDisk(request)).id, {});
      checkWithQemu(t, path!, disk);
    }
  });
}

withQemu('qemu-img has nothing against disks that are made one from the other', async t => {
  const target = await open(t);
  const size = 64 * DISK_BLOCK_SIZE;
  let fills: Record<number, number> = { 0: 1, 1: 2, 30: 3 };
  for (let revision = 0; revision < 4; revision++) {
    fills = { ...fills, [revision]: 0, [40 + revision]: 7, 30: 10 + revision };
    const disk = ModelDisk.of(fills, size);
    const tags = { Stream: 'os' };
    const image = await target.parent('os', BigInt(size));
    const parent = image && { image, map: await target.map(image.id) };
    const { id } = await target.createDisk({
      token: String(revision),
      content: disk.content(),
      parent,
      tags,
    });
    checkWithQemu(t, (await target.register(id, tags)).path!, disk);
  }
});

/** Of a description as many parts are looked at: that of the largest disk is long. */
const CHECKED_PARTS = 100;

test('what describes a disk covers all before it, in order, whatever its size', t => {
  const sectors = fc.oneof(fc.bigInt({ min: 1n, max: 2n ** 28n }), fc.bigInt({ min: 1n, max: 2n ** 34n }));
  fc.assert(
    fc.property(sectors, count => {
      const size = count * 512n;
      const map = { size, present: Buffer.alloc(Number(size / 524_288n / 8n) + 1), digests: Buffer.alloc(0) };
      let end = 0;
      let parts = 0;
      for (const { offset, bytes } of qcow2Format.description(map)) {
        if (parts++ === CHECKED_PARTS) break;
        t.is(offset, end, 'there is no gap');
        end = offset + bytes.length;
      }
      if (parts <= CHECKED_PARTS) t.is(end, qcow2Format.dataOffset(size));
      else t.true(end < qcow2Format.dataOffset(size));
    }),
    { numRuns: 20, examples: [[1n], [2n ** 34n]] },
  );
});

test('a disk that qcow2 can not hold is refused', t => {
  for (const size of [0n, 511n, 1000n]) {
    t.throws(() => qcow2Format.fileSize(size), { code: 'UNSUPPORTED' });
  }
});
