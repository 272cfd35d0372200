import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { temporaryDirectory } from '../../temporary-directory.js';
import { imagetoolOn, json } from './run.js';

const program = fileURLToPath(new URL('../../../src/cli/imagetool/main.ts', import.meta.url));
const FILES = 4000;

function makeSource(directory: string): string {
  const source = join(directory, 'source');
  mkdirSync(source);
  for (let number = 0; number < FILES; number++)
    writeFileSync(join(source, String(number)), `file ${String(number)}`);
  return source;
}

/** Starts a build in a process of its own. */
function start(t: ExecutionContext, store: string, source: string): ChildProcess {
  const call = ['--import=tsx', program, 'build', 's/1', '--from', source, '--store', store, '--json'];
  const child = spawn(process.execPath, call, { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

/** Waits until the store has at least so many objects, or the process has ended. */
async function untilObjects(child: ChildProcess, store: string, count: number): Promise<void> {
  const objects = join(store, 'objects/sha512');
  for (let found = 0; found < count && child.exitCode === null;) {
    await setTimeout(2);
    try {
      found = readdirSync(objects, { recursive: true }).length - 256;
    } catch {
      found = 0;
    }
  }
}

test('a build that is killed leaves no image, and the next one carries on', async t => {
  const directory = temporaryDirectory(t);
  const source = makeSource(directory);
  const store = join(directory, 'store');
  let killed = 0;
  for (const count of [-255, 1, FILES / 4, FILES / 2, FILES]) {
    const child = start(t, store, source);
    await untilObjects(child, store, count);
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    if (child.exitCode !== null) break;
    killed++;
    const { code, out } = await imagetoolOn(store, 'list', '--json');
    t.true(code === 0 ? out === '[]\n' : out.includes('STORE_MISSING'), out);
  }
  t.true(killed >= 2);
  const built = (await json(store, 0, 'build', 's/2', '--from', source)) as {
    entries: number;
    newObjects: number;
  };
  t.is(built.entries, FILES + 1);
  t.true(built.newObjects < FILES);
  t.deepEqual(readdirSync(join(store, 'tmp')), []);
  t.like(await json(store, 0, 'verify', 's/2'), { ok: true, objects: FILES });
});

test('a build that is interrupted ends with 130 and leaves nothing unfinished', async t => {
  const directory = temporaryDirectory(t);
  const source = makeSource(directory);
  const store = join(directory, 'store');
  const child = start(t, store, source);
  let out = '';
  child.stdout?.on('data', (text: Buffer) => (out += text.toString()));
  await untilObjects(child, store, 1);
  child.kill('SIGINT');
  const [code] = (await once(child, 'close')) as [number];
  t.is(code, 130);
  t.like(JSON.parse(out), { error: { code: 'CANCELLED' } });
  t.deepEqual(await json(store, 0, 'list'), []);
  t.deepEqual(readdirSync(join(store, 'tmp')), []);
});

test('of two builds of one name at once, one makes it', async t => {
  const directory = temporaryDirectory(t);
  const source = makeSource(directory);
  const store = join(directory, 'store');
  const children = [start(t, store, source), start(t, store, source)];
  const codes = await Promise.all(children.map(async child => (await once(child, 'exit')) as [number]));
  t.deepEqual(codes.map(([code]) => code).sort(), [0, 1]);
  t.like(await json(store, 0, 'verify', 's/1'), { ok: true });
  t.deepEqual(readdirSync(join(store, 'tmp')), []);
});
