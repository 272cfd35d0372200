import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { run, shell, temporaryDirectory } from './ext4-fixture.js';

/*
 * The quickstart as a newcomer runs it, of content that is given; only the Debian that it makes otherwise
 * takes a network.
 */

const CONTENT = `
  mkdir -p etc usr/bin usr/lib usr/share/doc/tool var/lib/dpkg/info
  echo hello > etc/motd; echo free > usr/share/doc/tool/copyright
  dd if=/dev/urandom of=usr/bin/tool bs=1M count=3 status=none
  for n in $(seq 100); do dd if=/dev/urandom of=usr/lib/$n bs=10k count=1 status=none; done
  printf '/usr/bin/tool\\n' > var/lib/dpkg/info/tool.list
  tar -cf ../content.tar .
`;

/** A place to run it in: SOURCE, and what it leaves there. */
class Desk {
  readonly directory: string;
  readonly source: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly published: string;

  constructor(t: ExecutionContext) {
    this.directory = temporaryDirectory(t);
    this.source = join(this.directory, 'content.tar');
    this.published = join(this.directory, 'disks here');
    this.environment = { ...process.env, XDG_CACHE_HOME: join(this.directory, 'cache') };
    const tree = join(this.directory, 'tree');
    run('mkdir', tree);
    shell(tree, CONTENT);
  }

  get parameters(): string[] {
    return ['run', '--silent', 'quickstart', '--', '--to', this.published, this.source];
  }

  /** What is still attached to a loop device of what it works with, what still runs of it, and what it worked in. */
  left(): string[] {
    const attached = run('losetup', '--list', '--noheadings', '--output', 'NAME,BACK-FILE').split('\n');
    const processes = run('ps', '-eo', 'pid=,stat=,args=').split('\n');
    const kept = join(this.directory, 'cache/image-unpacker/quickstart');
    const work = existsSync(kept) ? readdirSync(kept).filter(name => name.startsWith('work-')) : [];
    const here = [...attached, ...processes].filter(line => line.includes(this.directory));
    return [...here.filter(line => !/^\s*\d+ Z/.test(line)), ...work];
  }
}

test('two revisions are published, what they cost is shown, and what is said to try next works', t => {
  const desk = new Desk(t);
  const { status, stdout, stderr } = spawnSync('npm', desk.parameters, {
    encoding: 'utf8',
    env: desk.environment,
  });
  t.is(status, 0, stdout + stderr);
  t.is(stderr, '');
  const disks = [...stdout.matchAll(/^ {2}disk +(.*)$/gm)].map(([, path]) => path!);
  const digests = [...stdout.matchAll(/^ {2}digest +([0-9a-f]{64})$/gm)].map(([, digest]) => digest!);
  t.is(new Set(disks).size, 2);
  t.is(new Set(digests).size, 2);
  for (const disk of disks) t.true(existsSync(disk), disk);
  const blocks = /^512 KiB blocks written to the disk +[\d,]+ of [\d,]+ +(\d+) of [\d,]+$/m.exec(stdout);
  const written = Number(blocks?.[1]);
  // The second has an application of 4.6 MiB, and little else.
  t.true(written >= 9 && written < 30, stdout);
  t.regex(stdout, /^512 KiB blocks written to the volume +([\d,]+ of [\d,]+|-) +(\d+ of [\d,]+|-)$/m);
  t.deepEqual(desk.left(), []);

  const next = [...stdout.matchAll(/^ {2}(\.\/bin\/.*)$/gm)].map(([, line]) => line!);
  t.is(next.length, 4);
  for (const line of next) {
    const ended = spawnSync('sh', ['-c', line], { encoding: 'utf8', env: desk.environment });
    t.is(ended.status, 0, line + ended.stdout + ended.stderr);
  }
  t.deepEqual(desk.left(), []);

  // The next time the first is what is published already; the second is another release.
  const again = spawnSync('npm', desk.parameters, { encoding: 'utf8', env: desk.environment });
  t.is(again.status, 0, again.stdout + again.stderr);
  t.is(disksBelow(desk.published).length, 3);
  t.deepEqual(desk.left(), []);
});

function disksBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(path =>
    path.endsWith('.qcow2'),
  );
}

for (const moment of ['Building the first image', 'Publishing it', 'Changing a copy']) {
  test(`nothing is left when it is interrupted: ${moment}`, async t => {
    const desk = new Desk(t);
    const child = spawn('script', ['--quiet', '--return', '--command', commandLine(desk), '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: desk.environment,
    });
    const ended = new Promise<number | null>(resolve => child.on('close', resolve));
    let output = '';
    child.stdout.setEncoding('utf8');
    for await (const text of child.stdout as AsyncIterable<string>) {
      const before = output.includes(`… ${moment}`);
      output += text;
      // As a person does it: at the terminal, to all that runs there.
      if (!before && output.includes(`… ${moment}`)) child.stdin.write('\x03');
    }
    t.is(await ended, 130, output);
    t.true(output.includes('Interrupted; putting things in order'), output);
    const deadline = performance.now() + 30_000;
    while (desk.left().length > 0 && performance.now() < deadline) await sleep(50);
    t.deepEqual(desk.left(), []);
    if (moment !== 'Publishing it') return;
    // What was begun does not stand in the way.
    const again = spawnSync('npm', desk.parameters, { encoding: 'utf8', env: desk.environment });
    t.is(again.status, 0, again.stdout + again.stderr);
  });
}

function commandLine(desk: Desk): string {
  return ['npm', ...desk.parameters].map(each => `'${each}'`).join(' ');
}

test('what fails is told, and nothing is left', t => {
  const desk = new Desk(t);
  const call = ['scripts/quickstart.mjs', '--to', desk.published, join(desk.directory, 'no such content')];
  const { status, stderr } = spawnSync('node', call, { encoding: 'utf8', env: desk.environment });
  t.is(status, 1);
  t.regex(stderr, /^quickstart: imagetool build .* failed:\n.*no such content/);
  t.deepEqual(desk.left(), []);
  t.false(existsSync(desk.published));
});
