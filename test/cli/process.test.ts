import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const program = fileURLToPath(new URL('fixture/program.ts', import.meta.url));

/** The fixture program in a process of its own, below a shell that redirects as `redirection` says. */
async function shell(command: string) {
  const child = spawn('bash', ['-c', `set -o pipefail; ${command}`], {
    env: { ...process.env, FIXTURE: `${process.execPath} --import=tsx ${program}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err] = [[] as string[], [] as string[]];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out: out.join(''), err: err.join('') };
}

test('a reader that leaves early is no error', async t => {
  const { code, out, err } = await shell('$FIXTURE long | head -n 1');
  t.is(err, '');
  t.is(out, 'line\n');
  t.is(code, 0);
});

test('all of a long result arrives', async t => {
  t.is((await shell('$FIXTURE long | wc -l')).out.trim(), '200001');
});

test('a result that cannot be written is an error', async t => {
  const { code, err } = await shell('$FIXTURE long >/dev/full');
  t.is(code, 1);
  t.regex(err, /^fixture: Writing the result failed: ENOSPC/);
});

test('an error that nobody caught is reported like any other', async t => {
  const { code, out, err } = await shell('$FIXTURE fail stray --json');
  t.is(code, 1);
  t.is(err, '');
  t.like(JSON.parse(out), { error: { code: 'INTERNAL' } });
});

test('Ctrl-C ends the process with 130', async t => {
  const child = spawn(process.execPath, ['--import=tsx', program, 'wait'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await once(child.stderr, 'data');
  child.kill('SIGINT');
  t.deepEqual(await once(child, 'exit'), [130, null]);
});

test('standard input that stays open does not keep the process', async t => {
  const child = spawn(process.execPath, ['--import=tsx', program, 'peek'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  t.deepEqual(await once(child, 'exit'), [0, null]);
});
