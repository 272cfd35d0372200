import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { run, temporaryDirectory } from './ext4-fixture.js';

/*
 * A system that really boots, with systemd, in a container: nothing but links to this machine's /usr, the
 * package in /opt, and the agent as scripts/install leaves it. What is asked of it is a script, which runs when
 * it is up; it goes down with the script's exit status. Loop devices are the machine's own.
 */

const PACKAGE = '/opt/image-unpacker';
/** Beside /usr the programs of the package and the Node that runs this test. */
const PATH = `${PACKAGE}/bin:/opt/node:/usr/sbin:/usr/bin`;
/** Boot and shutdown take about 5 s; the scripts of tests have the rest. */
const BOOT_MILLISECONDS = 120_000;
const LOOP_DEVICES = 32;

const FILES = {
  'etc/machine-id': '0123456789abcdef0123456789abcdef\n',
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
  'etc/group': 'root:x:0:\n',
  'etc/os-release': 'ID=test\nNAME=test\n',
};

/** Why no system can be booted here, or undefined when one can. */
export function bootFault(): string | undefined {
  if (spawnSync('systemd-nspawn', ['--version']).error !== undefined) {
    return 'systemd-nspawn is not installed (package systemd-container)';
  }
  if (!existsSync('/usr/lib/systemd/systemd')) return 'systemd is not installed (package systemd)';
  return realpathSync('/bin') === '/usr/bin' ? undefined : 'not all programs are below /usr here';
}

/** A system to be booted, gone when the test ends. */
export class BootedSystem {
  readonly #tree: string;

  constructor(t: ExecutionContext) {
    this.#tree = temporaryDirectory(t);
    for (const path of [
      'proc',
      'sys',
      'dev',
      'run',
      'tmp',
      'var/lib',
      'etc/systemd/system',
      'root',
      'home',
      'usr',
    ]) {
      mkdirSync(join(this.#tree, path), { recursive: true });
    }
    for (const path of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${path}`, join(this.#tree, path));
    for (const [path, content] of Object.entries(FILES)) this.write(path, content);
    run('scripts/install', '--root', this.#tree, '--package', PACKAGE);
    this.write(
      'etc/systemd/system/image-unpacker.service.d/20-node.conf',
      `[Service]\nEnvironment=PATH=${PATH}\n`,
    );
    t.teardown(removeControlGroups);
  }

  /** The path, on this machine, of something in the system. */
  path(path: string): string {
    return join(this.#tree, path);
  }

  /** Writes a file of the system. */
  write(path: string, content: string): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), content);
  }

  /**
   * Boots, runs `script` until its first failure, and goes down. Returns how it ended, null when that took too
   * long, and what was written.
   */
  boot(script: string): { status: number | null; output: string } {
    this.write('script', `${PREPARATION}\n${script}`);
    this.write('etc/systemd/system/script.service', SCRIPT_SERVICE);
    const { status, error } = spawnSync(
      'systemd-nspawn',
      [
        ...['--quiet', '--directory', this.#tree, '--boot', '--register=no', '--keep-unit', '--console=pipe'],
        // Without these systemd in there could not hold services to DeviceAllow=.
        ...['--capability=CAP_BPF,CAP_PERFMON', '--system-call-filter=bpf'],
        ...['--bind-ro=/usr', `--bind-ro=${process.cwd()}:${PACKAGE}`, '--bind=/dev/loop-control'],
        `--bind-ro=${dirname(realpathSync(process.execPath))}:/opt/node`,
        'systemd.unit=script.service',
      ],
      {
        stdio: 'ignore',
        timeout: BOOT_MILLISECONDS,
        env: { ...process.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
      },
    );
    const output = this.path('output');
    return {
      status: error === undefined ? status : null,
      output: existsSync(output) ? readFileSync(output, 'utf8') : 'It did not boot',
    };
  }
}

const PREPARATION = `
set -eu
exec >/output 2>&1
trap 'journalctl --no-pager -o short-precise -n 50' ERR
for number in $(seq 0 ${String(LOOP_DEVICES - 1)}); do
  [ -e /dev/loop$number ] || mknod /dev/loop$number b 7 $number
done`;

const SCRIPT_SERVICE = `[Unit]
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
Environment=PATH=${PATH}
ExecStart=/bin/bash /script
`;

/** What systemd-nspawn leaves behind where no systemd runs that it could ask for a scope. */
function removeControlGroups(): void {
  const groups = readFileSync('/proc/self/cgroup', 'utf8').matchAll(/^(?:0:|\d+:name=systemd):(.*)$/gm);
  for (const [, group] of groups) {
    for (const hierarchy of ['', 'unified', 'systemd']) {
      for (const left of ['payload/init.scope', 'payload', 'supervisor']) {
        const path = join('/sys/fs/cgroup', hierarchy, group!, left);
        if (existsSync(path)) rmdirSync(path);
      }
    }
  }
}
