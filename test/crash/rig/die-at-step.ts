import childProcess from 'node:child_process';
import fs from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { operationsOf } from './batch-steps.js';

/*
 * Loaded before a program (node --import), this ends it by SIGKILL right before its nth step: a call that changes
 * files or devices, an operation of a plan, the start of a tool, and the moment after that.
 *
 *   DIE_PROGRAM    only a process whose program has this in its path is meant
 *   DIE_AT_STEP    n, from 0; a number that is never reached lets the program end as it would
 *   DIE_STEPS      the file that the number of steps is written to when the program ends
 */

const { DIE_PROGRAM = '', DIE_AT_STEP = '-1', DIE_STEPS } = process.env;
const FILES = [
  'open',
  'mkdir',
  'rename',
  'rm',
  'rmdir',
  'unlink',
  'link',
  'symlink',
  'truncate',
  'writeFile',
  'chmod',
  'utimes',
];
const HANDLES = ['write', 'writev', 'writeFile', 'appendFile', 'truncate', 'sync', 'datasync'];
const AT_ONCE = [
  'openSync',
  'mkdirSync',
  'renameSync',
  'rmSync',
  'rmdirSync',
  'unlinkSync',
  'writeFileSync',
  'writeSync',
];

type Callable = (this: unknown, ...parameters: unknown[]) => unknown;

const writeFileSync = fs.writeFileSync;
let steps = 0;

function step(): void {
  if (steps++ === Number(DIE_AT_STEP)) process.kill(process.pid, 'SIGKILL');
}

/** Puts a step before functions of an object. */
function watch(object: object, names: readonly string[]): void {
  const functions = object as Record<string, Callable>;
  for (const name of names) {
    const original = functions[name]!;
    functions[name] = function (...parameters) {
      step();
      return Reflect.apply(original, this, parameters);
    };
  }
}

async function watchHandles(): Promise<void> {
  const handle = await fs.promises.open('/dev/null');
  watch(Object.getPrototypeOf(handle) as object, HANDLES);
  await handle.close();
}

function watchTools(): void {
  const { spawn } = childProcess;
  childProcess.spawn = ((...parameters: Parameters<typeof spawn>) => {
    step();
    const child = spawn(...parameters);
    step();
    return child;
  }) as typeof spawn;
}

function watchAddon(): void {
  const addon = createRequire(import.meta.url)('../../../build/Release/image_unpacker.node') as Record<
    string,
    Callable
  >;
  const { runBatch } = addon as { runBatch: Callable };
  watch(
    addon,
    Object.keys(addon).filter(name => name !== 'runBatch'),
  );
  addon['runBatch'] = async (root, batch, ...rest) => {
    const reports: Buffer[] = [];
    for (const operation of operationsOf(batch as Buffer)) {
      step();
      reports.push((await runBatch(root, operation, ...rest)) as Buffer);
    }
    return Buffer.concat(reports);
  };
}

if (process.argv[1]?.includes(DIE_PROGRAM)) {
  await watchHandles();
  watch(fs.promises, FILES);
  watch(fs, AT_ONCE);
  watchTools();
  watchAddon();
  syncBuiltinESMExports();
  if (DIE_STEPS !== undefined) process.on('exit', () => writeFileSync(DIE_STEPS, String(steps)));
}
