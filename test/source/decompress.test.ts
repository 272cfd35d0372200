import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { decompress } from '../../src/source/decompress.js';

const data = Buffer.from(Array.from({ length: 100_000 }, (_, line) => `${String(line)}\n`).join(''));

function packed(program: string, input: Buffer): Buffer {
  const { stdout, status } = spawnSync(program, ['-c'], { input, maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`${program} failed`);
  return stdout;
}

const compressors: Record<string, (input: Buffer) => Buffer> = {
  gzip: input => gzipSync(input),
  xz: input => packed('xz', input),
  zstd: input => packed('zstd', input),
};

async function undo(input: Buffer, chunkBytes = 10_000, signal?: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of decompress(inChunks(input, chunkBytes), 'x.tar', signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function* pieces(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

function inChunks(bytes: Buffer, length: number): AsyncIterable<Buffer> {
  return Readable.from(pieces(bytes, length));
}

const damaged = { code: 'SOURCE_DAMAGED', message: /x\.tar/ };

test('what is not compressed comes as it is', async t => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('x'), data])
    t.true((await undo(bytes, 1000)).equals(bytes));
});

test('a tar file whose first name looks like a magic is not compressed', async t => {
  const block = Buffer.alloc(512);
  block.write('BZh9', 0);
  block.write('ustar', 257);
  t.true((await undo(block)).equals(block));
});

for (const [name, compress] of Object.entries(compressors)) {
  test(`${name}: comes back, also in several members`, async t => {
    const one = compress(data);
    for (const size of [1000, 65_536, one.length]) t.true((await undo(one, size)).equals(data), String(size));
    t.is((await undo(compress(Buffer.alloc(0)))).length, 0);
    const two = Buffer.concat([one, compress(data.subarray(0, 500))]);
    for (const size of [1000, one.length, two.length]) {
      t.true((await undo(two, size)).equals(Buffer.concat([data, data.subarray(0, 500)])), String(size));
    }
  });

  test(`${name}: what is cut off, altered or followed by something else is refused`, async t => {
    const one = compress(data);
    for (const length of [12, 100, one.length - 9, one.length - 1]) {
      await t.throwsAsync(undo(one.subarray(0, length)), damaged, `cut at ${String(length)}`);
    }
    const altered = Buffer.from(one);
    altered[altered.length >> 1]! ^= 0x55;
    await t.throwsAsync(undo(altered), damaged);
    for (const tail of ['garbage', '\0\0\0\0garbage', '\x1f']) {
      const long = Buffer.concat([one, Buffer.from(tail, 'latin1')]);
      await t.throwsAsync(undo(long, long.length), damaged, JSON.stringify(tail));
      await t.throwsAsync(undo(long, one.length), damaged, JSON.stringify(tail));
    }
  });

  test(`${name}: an error of the input is what is reported`, async t => {
    const one = compress(data);
    const own = new Error('the disk is gone');
    const failing = async function* () {
      yield one.subarray(0, 2000);
      await Promise.reject(own);
    };
    const error = await t.throwsAsync(drain(decompress(failing(), 'x.tar')));
    t.is(error, own);
  });

  test.serial(`${name}: a reader who leaves closes the input and ends the program`, async t => {
    const input = Readable.from(
      pieces(compress(Buffer.concat(Array.from({ length: 20 }, () => data))), 1000),
    );
    for await (const chunk of decompress(input, 'x.tar')) {
      t.true(chunk.length > 0);
      break;
    }
    t.true(input.destroyed);
    t.false(childPrograms().includes(name));
  });

  test(`${name}: damage is reported though the input hangs`, async t => {
    // More than a program takes in before it looks at it.
    const one = Buffer.from(compress(randomBytes(2 ** 20)));
    one.fill(0xff, 6, 400);
    const hanging = async function* () {
      yield one;
      await new Promise(() => undefined);
    };
    await t.throwsAsync(drain(decompress(hanging(), 'x.tar')), damaged);
  });
}

function childPrograms(): string {
  return spawnSync('ps', ['--ppid', String(process.pid), '-o', 'comm='], { encoding: 'utf8' }).stdout;
}

test('skippable frames of zstd are passed over', async t => {
  const frame = Buffer.from('502a4d180400000061626364', 'hex');
  t.true((await undo(Buffer.concat([frame, compressors['zstd']!(data)]))).equals(data));
});

test('other compressions are refused by name', async t => {
  for (const [magic, name] of [
    ['BZh91AY', 'bzip2'],
    ['LZIP\x01', 'lzip'],
    ['\x04\x22\x4d\x18', 'lz4'],
    ['\x1f\x9d\x90', 'compress'],
  ]) {
    const bytes = Buffer.from(magic!.padEnd(600, '\xaa'), 'latin1');
    await t.throwsAsync(undo(bytes), { code: 'SOURCE_UNSUPPORTED', message: new RegExp(name!) }, name);
  }
});

test.serial('a program that is not installed is named with its package', async t => {
  const path = process.env['PATH'];
  const one = compressors['xz']!(data);
  t.teardown(() => {
    process.env['PATH'] = path;
  });
  process.env['PATH'] = '/nonexistent';
  await t.throwsAsync(undo(one), { code: 'TOOL_MISSING', message: /xz-utils/ });
});

for (const name of ['xz', 'zstd']) {
  test.serial(`${name}: stops when it is aborted, and its program with it`, async t => {
    const controller = new AbortController();
    const one = compressors[name]!(data);
    const hanging = async function* () {
      yield one.subarray(0, one.length - 20);
      await new Promise((_, reject) => {
        controller.signal.addEventListener('abort', () => {
          reject(new Error('the input gave up'));
        });
        setTimeout(() => {
          controller.abort();
        }, 100);
      });
    };
    const reading = drain(decompress(hanging(), 'x.tar', controller.signal));
    await t.throwsAsync(reading, { code: 'CANCELLED' });
    t.false(childPrograms().includes(name));
  });
}

async function drain(bytes: AsyncIterable<Buffer>): Promise<number> {
  let length = 0;
  for await (const chunk of bytes) length += chunk.length;
  return length;
}
