import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImageUnpackerError } from '../src/image/error.js';
import { runCommand } from './run-command.js';
import type { Workshop } from './workshop.js';

const SSHD = '/usr/sbin/sshd';
const START_TRIES = 100;
const TRY_MILLISECONDS = 50;

/**
 * Does `work` with an SSH server of this machine that has keys of its own, and the command that logs in there. Throws
 * `TOOL_MISSING`.
 */
export async function withSshServer<T>(workshop: Workshop, work: (login: string) => Promise<T>): Promise<T> {
  await access(SSHD).catch(() => {
    throw new ImageUnpackerError(
      'TOOL_MISSING',
      `There is no ${SSHD} on this machine; install openssh-server`,
    );
  });
  const { signal } = workshop;
  const directory = await workshop.emptied('ssh');
  for (const key of ['host', 'user'])
    await runCommand(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', `${directory}/${key}`], {
      signal,
    });
  await runCommand(['mkdir', '-p', '/run/sshd'], { signal });
  const port = await freePort();
  const settings = {
    ListenAddress: '127.0.0.1',
    Port: port,
    HostKey: `${directory}/host`,
    PidFile: 'none',
    AuthorizedKeysFile: `${directory}/user.pub`,
    PasswordAuthentication: 'no',
    StrictModes: 'no',
    PermitRootLogin: 'yes',
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} ${String(value)}\n`);
  await writeFile(`${directory}/sshd_config`, lines.join(''));
  const server = spawn(SSHD, ['-D', '-e', '-f', `${directory}/sshd_config`], {
    detached: true,
    stdio: 'ignore',
  });
  const login = [
    `ssh -p ${String(port)} -i ${directory}/user -o StrictHostKeyChecking=no`,
    `-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes`,
  ].join(' ');
  try {
    await answers([...login.split(' '), '127.0.0.1', 'true'], signal);
    return await work(login);
  } finally {
    const ended = once(server, 'exit');
    if (server.exitCode === null && server.kill('SIGTERM')) await ended;
  }
}

async function answers(words: readonly string[], signal: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await runCommand(words, { signal });
      return;
    } catch (reason) {
      if (tries === START_TRIES) throw reason;
      await sleep(TRY_MILLISECONDS);
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
