import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { temporaryDirectory } from '../../temporary-directory.js';

const program = fileURLToPath(new URL('../../../bin/imagetool', import.meta.url));
const FILES = 200_000;
const LIMIT_KIBIBYTES = 300 << 10;

/** A header of the oldest format, which is all that plain files need. */
function header(name: string, size: number): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0);
  for (const [at, value] of [
    [100, 0o644],
    [108, 0],
    [116, 0],
    [124, size],
    [136, 1_700_000_000],
  ] as const) {
    block.write(value.toString(8).padStart(at < 124 ? 7 : 11, '0'), at);
  }
  block.write('        ', 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function* archive(): Generator<Buffer, void, undefined> {
  const data = Buffer.alloc(512);
  data.write('the same in all files');
  for (let number = 0; number < FILES; number += 100) {
    const blocks: Buffer[] = [];
    for (let each = number; each < number + 100; each++) {
      blocks.push(
        header(`usr/share/directory-${String(number)}/a-file-with-a-usual-name-${String(each)}`, 21),
        data,
      );
    }
    yield Buffer.concat(blocks);
  }
  yield Buffer.alloc(1024);
}

test('an image of 200,000 small files is built in less than 300 MiB', async t => {
  const store = join(temporaryDirectory(t), 'store');
  const call = [program, 'build', 's/1', '--from', '-', '--store', store, '--json'];
  const child = spawn(process.execPath, call, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  let peak = 0;
  const timer = setInterval(() => {
    const [, size] =
      /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(child.pid)}/status`, 'utf8')) ?? [];
    peak = Math.max(peak, Number(size ?? 0));
  }, 50);
  let out = '';
  child.stdout.on('data', (text: Buffer) => (out += text.toString()));
  child.on('exit', () => clearInterval(timer));
  await Promise.all([pipeline(Readable.from(archive()), child.stdin), once(child, 'close')]);
  t.like(JSON.parse(out), { entries: FILES + FILES / 100 + 3, newObjects: 1 });
  t.log(`${String(Math.round(peak / 1024))} MiB`);
  t.true(peak > 0 && peak < LIMIT_KIBIBYTES);
});
