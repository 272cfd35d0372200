import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from '../../src/volume/boot/options.js';

/*
 * Packages of Debian for any architecture, unpacked and not installed. Lists and downloads have a place of their own,
 * so that the machine's are left as they are.
 */

const NAMES: Readonly<Record<Architecture, string>> = { x86_64: 'amd64', arm64: 'arm64' };

/** Why packages cannot be had here, or undefined when they can. */
export function packagesFault(): string | undefined {
  if (spawnSync('apt-get', ['--version']).error !== undefined) return 'there is no apt-get';
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return /^ID=debian$/m.test(release)
    ? undefined
    : 'this is no Debian, from which the system to boot is taken';
}

/** Unpacks packages below `directory`/root, and returns that. Of one that only depends on a kernel, it is the kernel. */
export function unpackPackages(
  directory: string,
  architecture: Architecture,
  names: readonly string[],
): string {
  const apt = new Apt(join(directory, 'apt'), NAMES[architecture]);
  const root = join(directory, 'root');
  mkdirSync(root);
  for (const file of apt.download(names.map(name => apt.kernelBehind(name)))) {
    execFileSync('dpkg-deb', ['--extract', file, root]);
  }
  return root;
}

class Apt {
  readonly #options: string[];
  readonly #directory: string;

  constructor(directory: string, architecture: string) {
    this.#directory = directory;
    for (const path of ['lists/partial', 'cache/archives/partial']) {
      mkdirSync(join(directory, path), { recursive: true });
    }
    writeFileSync(join(directory, 'status'), '');
    const settings = {
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
      'APT::Sandbox::User': 'root',
      'Dir::State::Lists': join(directory, 'lists'),
      'Dir::State::status': join(directory, 'status'),
      'Dir::Cache': join(directory, 'cache'),
    };
    this.#options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
    this.#run('apt-get', '-q', 'update');
  }

  /** The package of the kernel that another one depends on, or that one itself. */
  kernelBehind(name: string): string {
    if (!name.startsWith('linux-image-')) return name;
    return /Depends: (linux-image-\S+)/.exec(this.#run('apt-cache', 'depends', name))?.[1] ?? name;
  }

  download(names: readonly string[]): string[] {
    this.#run('apt-get', '-q', 'download', ...names);
    return readdirSync(this.#directory)
      .filter(name => name.endsWith('.deb'))
      .map(name => join(this.#directory, name));
  }

  #run(program: string, ...parameters: string[]): string {
    const options = { cwd: this.#directory, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] };
    return execFileSync(program, [...this.#options, ...parameters], options).toString();
  }
}
