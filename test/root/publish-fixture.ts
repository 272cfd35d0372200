import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { ResultRow } from '../../src/publisher/row.js';
import { run, shell, temporaryDirectory } from './ext4-fixture.js';

const CONTENT = `
  umask 022
  mkdir -p etc usr/bin usr/lib
  echo one > etc/motd; ln etc/motd etc/issue; ln -s motd etc/link; cp /bin/true usr/bin/tool
  setcap cap_net_raw=+ep usr/bin/tool
  for n in $(seq 40); do dd if=/dev/urandom of=usr/lib/$n bs=200k count=1 status=none; done
`;
interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A store with an image, and a place to publish it from. */
export class Shop {
  readonly t: ExecutionContext;
  readonly directory: string;
  readonly tree: string;
  readonly targets: string;

  constructor(t: ExecutionContext) {
    this.t = t;
    this.directory = temporaryDirectory(t);
    this.tree = this.path('tree');
    this.targets = this.path('targets.yaml');
    mkdirSync(this.tree);
    shell(this.tree, CONTENT);
    this.build(1);
    this.publishTo('{ local: raw }', '{ local: qcow2, format: qcow2 }');
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Says which targets there are. */
  publishTo(...targets: string[]): void {
    writeFileSync(this.targets, `targets:\n${targets.map(target => `  - ${target}\n`).join('')}`);
  }

  build(leaf: number): void {
    const args = ['build', `os/small/${String(leaf)}`, '--from', this.tree, '--store', this.path('store')];
    run('bin/imagetool', ...args);
  }

  /** The parameters that publish a revision. */
  publishing(leaf: number, ...more: string[]): string[] {
    const places = [
      '--store',
      this.path('store'),
      '--state-dir',
      this.path('state'),
      '--targets',
      this.targets,
    ];
    return ['publish', 'os/small', String(leaf), ...places, ...more];
  }

  call(...args: string[]): Outcome {
    const { status, stdout, stderr } = spawnSync('bin/ami-publisher', args, { encoding: 'utf8' });
    return { status, stdout, stderr };
  }

  publish(leaf: number, ...more: string[]): ResultRow[] {
    const { status, stdout, stderr } = this.call(...this.publishing(leaf, ...more), '--json');
    this.t.is(status, 0, stdout + stderr);
    return JSON.parse(stdout) as ResultRow[];
  }

  /** Starts publishing, and resolves when an event has come that fits. */
  async startUntil(leaf: number, event: RegExp): Promise<ChildProcess> {
    const args = this.publishing(leaf, '--json', '--events', '-');
    const child = spawn('bin/ami-publisher', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.t.teardown(() => child.kill('SIGKILL'));
    let told = '';
    for await (const text of child.stderr) {
      told += String(text);
      if (event.test(told)) return child;
    }
    throw new Error(`it ended without ${String(event)}: ${told}`);
  }

  /** Starts an agent that runs by itself, until the test ends; resolves to its address when it listens. */
  async startAgent(): Promise<{ address: string; agent: ChildProcess }> {
    const address = `unix:${this.path('agent.sock')}`;
    const places = ['--store', this.path('store'), '--state-dir', this.path('agent')];
    const volumes = ['--volumes', this.path('disks')];
    const agent = spawn('bin/image-unpacker', ['serve', '--listen', address, ...places, ...volumes], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.t.teardown(async () => {
      const ended = once(agent, 'exit');
      agent.kill('SIGTERM');
      await ended;
    });
    for await (const text of agent.stderr) if (String(text).includes('listening')) break;
    return { address, agent };
  }

  runs(): { Run: string; State: string }[] {
    const { stdout } = this.call('runs', '--state-dir', this.path('state'), '--json');
    return JSON.parse(stdout) as { Run: string; State: string }[];
  }

  /** Waits until nothing of ours runs or is attached any more. */
  async settled(): Promise<void> {
    for (let waited = 0; waited < 300; waited++) {
      const busy = run('losetup', '-a').includes(this.directory);
      const agents = spawnSync('pgrep', ['-f', `serve --listen unix:${this.directory}`]).status === 0;
      if (!busy && !agents) return;
      await sleep(100);
    }
    this.t.fail('an agent or a loop device is left');
  }
}

/** The files of a target, but for those of the registry. */
export function disksIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).filter(name => name !== 'registry') : [];
}

/** All that lies below a directory, and when it was last changed. */
export function snapshot(directory: string): string {
  return run('find', directory, '-printf', '%P %s %T@ %C@ %i\\n').split('\n').sort().join('\n');
}
