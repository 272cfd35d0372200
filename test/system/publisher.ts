import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ResultRow } from '../../src/publisher/row.js';
import { temporaryDirectory } from '../temporary-directory.js';

/** A store, and two directories to publish to, by the programs as people call them. */
export class BootShop {
  readonly directory: string;
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext, configuration = '{}') {
    this.#t = t;
    this.directory = temporaryDirectory(t);
    writeFileSync(this.path('agent.yaml'), configuration);
    writeFileSync(this.path('targets.yaml'), 'targets: [{ local: raw }, { local: qcow2, format: qcow2 }]\n');
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** An empty directory for the tree of an image. */
  tree(name: string): string {
    const path = this.path('trees', name.replaceAll('/', '-'));
    mkdirSync(path, { recursive: true });
    return path;
  }

  build(name: string, source: string): void {
    this.call('imagetool', 'build', name, '--from', source, '--store', this.path('store'));
  }

  /** Publishes an image to both directories, raw and qcow2. */
  publish(name: string): [raw: ResultRow, qcow2: ResultRow] {
    const slash = name.lastIndexOf('/');
    const places = [
      '--targets',
      this.path('targets.yaml'),
      '--store',
      this.path('store'),
      '--state-dir',
      this.path('state'),
    ];
    const rows = this.call(
      'ami-publisher',
      'publish',
      name.slice(0, slash),
      name.slice(slash + 1),
      ...places,
      '--unpacker-config',
      this.path('agent.yaml'),
    );
    return rows as [ResultRow, ResultRow];
  }

  /** Runs a program of ours with --json; fails the test unless it ends well. */
  call(program: string, ...parameters: string[]): unknown {
    const { status, stdout, stderr } = spawnSync(`bin/${program}`, [...parameters, '--json'], {
      encoding: 'utf8',
    });
    this.#t.is(status, 0, stdout + stderr);
    return JSON.parse(stdout);
  }
}
