import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { temporaryDirectory } from '../../temporary-directory.js';
import { json } from './run.js';

const program = fileURLToPath(new URL('../../../src/cli/imagetool/main.ts', import.meta.url));
const FILES = 2000;

function prepare(t: ExecutionContext): { source: string; store: string } {
  const directory = temporaryDirectory(t);
  const source = join(directory, 'source');
  mkdirSync(source);
  for (let number = 0; number < FILES; number++) {
    writeFileSync(join(source, String(number)), `file ${String(number)}`);
  }
  return { source, store: join(directory, 'store') };
}

/** Starts a build in a process of its own. */
function start(t: ExecutionContext, store: string, source: string): ChildProcess {
  const call = ['--import=tsx', program, 'build', 's/1', '--from', source, '--store', store, '--json'];
  const child = spawn(process.execPath, call, { stdio: ['pipe', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

/** Starts a build of an archive of which no more than a part comes, and waits until it has stored some of it. */
async function startAndStall(
  t: ExecutionContext,
  store: string,
  source: string,
  part: number,
): Promise<ChildProcess> {
  const archive = execFileSync('tar', ['-c', '-C', source, '.'], { maxBuffer: 1 << 30 });
  const child = start(t, store, '-');
  child.stdin?.on('error', () => undefined);
  child.stdin?.write(archive.subarray(0, archive.length * part));
  while (objectsIn(store) < FILES * part * 0.5) {
    t.is(child.exitCode, null);
    await setTimeout(5);
  }
  return child;
}

function objectsIn(store: string): number {
  try {
    return readdirSync(join(store, 'objects/sha512'), { recursive: true }).length - 256;
  } catch {
    return 0;
  }
}

test('a build that is killed leaves no image, and the next one carries on', async t => {
  const { source, store } = prepare(t);
  for (const part of [0.2, 0.5, 0.8]) {
    const child = await startAndStall(t, store, source, part);
    child.kill('SIGKILL');
    await once(child, 'exit');
    t.deepEqual(await json(store, 0, 'list'), []);
    t.is(readdirSync(join(store, 'tmp')).length, 1);
  }
  const built = (await json(store, 0, 'build', 's/1', '--from', source)) as { newObjects: number };
  t.true(built.newObjects < FILES * 0.8);
  t.deepEqual(readdirSync(join(store, 'tmp')), []);
  t.like(await json(store, 0, 'verify', 's/1'), { ok: true, objects: FILES });
});

test('whenever a build is killed, there is a whole image or none', async t => {
  const { source, store } = prepare(t);
  for (const milliseconds of [0, 10, 30, 100]) {
    const child = start(t, store, source);
    const ended = once(child, 'exit');
    while (objectsIn(store) <= 0 && child.exitCode === null) await setTimeout(1);
    await setTimeout(milliseconds);
    child.kill('SIGKILL');
    await ended;
    const images = (await json(store, 0, 'list')) as { name: string }[];
    t.true(images.length <= 1);
    for (const { name } of images) {
      t.like(await json(store, 0, 'verify', name), { ok: true, objects: FILES });
      await json(store, 0, 'delete', name);
    }
    await json(store, 0, 'gc');
  }
});

test('a build that is interrupted ends with 130 and leaves nothing unfinished', async t => {
  const { source, store } = prepare(t);
  const child = await startAndStall(t, store, source, 0.5);
  let out = '';
  child.stdout?.on('data', (text: Buffer) => (out += text.toString()));
  child.kill('SIGINT');
  const [code] = (await once(child, 'close')) as [number];
  t.is(code, 130);
  t.like(JSON.parse(out), { error: { code: 'CANCELLED' } });
  t.deepEqual(await json(store, 0, 'list'), []);
  t.deepEqual(readdirSync(join(store, 'tmp')), []);
});

test('of two builds of one name at once, one makes it', async t => {
  const { source, store } = prepare(t);
  const children = [start(t, store, source), start(t, store, source)];
  const codes = await Promise.all(children.map(async child => (await once(child, 'exit')) as [number]));
  t.deepEqual(codes.map(([code]) => code).sort(), [0, 1]);
  t.like(await json(store, 0, 'verify', 's/1'), { ok: true });
  t.deepEqual(readdirSync(join(store, 'tmp')), []);
});
