import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { sendDatagram } from '../../src/native.js';
import { ServiceManager } from '../../src/unpacker/service-manager.js';

test('the service manager is told, and its watchdog fed only while things move', async t => {
  const told: string[] = [];
  const environment = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '20000' };
  const manager = new ServiceManager(environment, (path, text) => told.push(`${path} ${text}`));
  let moves = true;
  manager.ready('Listening');
  manager.watch(() => moves);
  t.deepEqual(told, ['/run/x READY=1\nSTATUS=Listening', '/run/x WATCHDOG=1']);
  while (told.length < 4) await sleep(5);
  moves = false;
  await sleep(20);
  const fed = told.length;
  await sleep(60);
  t.is(told.length, fed);
  manager.stopping();
  t.is(told.at(-1), '/run/x STOPPING=1\nSTATUS=Stopping');
});

test('without a manager, or with a watchdog for another process, nobody is told', async t => {
  const told: string[] = [];
  const send = (path: string, text: string): void => void told.push(`${path} ${text}`);
  const alone = new ServiceManager({ WATCHDOG_USEC: '10000' }, send);
  alone.ready('x');
  alone.watch(() => true);
  const other = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '10000', WATCHDOG_PID: '1' };
  new ServiceManager(other, send).watch(() => true);
  await sleep(30);
  alone.stopping();
  t.deepEqual(told, []);
});

for (const kind of ['a path', 'an abstract name']) {
  test(`a datagram reaches a socket with ${kind}`, async t => {
    const directory = mkdtempSync(join(tmpdir(), 'notify-'));
    t.teardown(() => {
      rmSync(directory, { recursive: true });
    });
    const path =
      kind === 'a path' ? join(directory, 'socket') : `@image-unpacker-test-${String(process.pid)}`;
    const script = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1].replace('@', '\\0', 1))
print('bound', flush=True); print(s.recv(100).decode(), flush=True)`;
    const receiver = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => receiver.kill('SIGKILL'));
    let said = '';
    receiver.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    while (!said.includes('bound')) await sleep(5);
    const closed = once(receiver, 'close');
    sendDatagram(path, 'READY=1');
    await closed;
    t.is(said, 'bound\nREADY=1\n');
    t.throws(
      () => {
        sendDatagram(join(directory, 'none'), 'x');
      },
      { code: 'ENOENT' },
    );
  });
}
