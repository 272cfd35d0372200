import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { needs } from '../needs.js';
import { bootFault, BootedSystem } from './booted-system.js';
import { attach, run, shell, temporaryDirectory } from './ext4-fixture.js';

/*
 * The agent's unit is not asked whether it looks good but what can be done under it: all that an unpack
 * needs, and nothing else.
 */

/** A tree that takes every privilege there is to take. */
const PRIVILEGED = `
  umask 022
  mkdir -p etc usr/bin dev own locked
  cp /bin/true usr/bin/tool; chmod 4755 usr/bin/tool; setcap cap_net_bind_service=+ep usr/bin/tool
  mknod dev/null c 1 3; mknod dev/odd c 4000 1; mknod dev/disk b 259 70000; mkfifo dev/pipe
  setfattr -n trusted.note -v deep etc; setfacl -m u:33:rx etc
  echo 1 > own/setgid; chown 1234:4321 own/setgid; chmod 6755 own/setgid
  echo 2 > locked/file; chown 1234:1234 locked locked/file; chmod 000 locked/file locked
  echo 3 > etc/fixed; chattr +i etc/fixed
`;
const REVISION = `
  chattr -i etc/fixed; echo 4 >> etc/fixed; chattr +i etc/fixed
  echo 5 >> locked/file; echo 6 > locked/new; mknod dev/new c 5 1; rm dev/disk
  chown 77:88 own/setgid; chmod 6711 own/setgid; setcap cap_net_raw=+ep usr/bin/tool
`;

/** Makes a store of two images with that tree. */
function makeImages(t: ExecutionContext, store: string): void {
  const tree = join(temporaryDirectory(t), 'tree');
  mkdirSync(tree);
  t.teardown(() => run('chattr', '-i', join(tree, 'etc/fixed')));
  for (const [leaf, script] of [
    ['1', PRIVILEGED],
    ['2', REVISION],
  ] as const) {
    shell(tree, script);
    run('bin/imagetool', 'build', `os/privileged/${leaf}`, '--from', tree, '--store', store);
  }
}

function capabilitiesOfUnit(): string[] {
  const unit = readFileSync('systemd/image-unpacker.service', 'utf8');
  const [, list] = /^CapabilityBoundingSet=(.*)$/m.exec(unit)!;
  return list!.split(' ').map(name => name.replace(/^CAP_/, '').toLowerCase());
}

test('an unpack takes every capability of the unit, and no other', t => {
  const directory = temporaryDirectory(t);
  const [store, file] = [join(directory, 'store'), join(directory, 'device')];
  makeImages(t, store);
  writeFileSync(file, '');
  truncateSync(file, 64 << 20);
  const device = attach(t, file);
  /** Whether the volume becomes both images, one after the other, when there are only these capabilities. */
  const worksWith = (capabilities: string[], state: string): boolean => {
    const bounds = ['-all', ...capabilities.map(name => `+${name}`)].join(',');
    const call = (...args: string[]): boolean =>
      spawnSync('setpriv', [
        ...['--no-new-privs', `--bounding-set=${bounds}`, '--inh-caps=-all', 'bin/image-unpacker'],
        ...[...args, '--device', device, '--store', store],
      ]).status === 0;
    const stateDirectory = ['--state-dir', join(directory, state)];
    return ['os/privileged/1', 'os/privileged/2'].every(
      image =>
        call('apply', '--image', image, '--layout', 'whole', '--format', ...stateDirectory) &&
        call('check', '--image', image),
    );
  };
  const all = capabilitiesOfUnit();
  for (const each of all) {
    run('wipefs', '-a', '-q', device);
    t.false(
      worksWith(
        all.filter(other => other !== each),
        each,
      ),
      each,
    );
  }
  run('wipefs', '-a', '-q', device);
  t.true(worksWith(all, 'all'));
});

const systemTest = needs('the units in a system that boots', { fault: bootFault() });

/** The unit as it is, with another program in it. */
const PROBE = `[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ReadWritePaths=/probe
ExecStart=
ExecStart=/bin/bash -euo pipefail /probe/script
`;

/** What must work, and what must not. */
const PROBE_SCRIPT = `
exec >/probe/output 2>&1
cd /probe
truncate -s 64M file
device=$(losetup --find --show file)
trap 'losetup --detach "$device"' EXIT
for image in 1 2; do
  image-unpacker apply --image os/privileged/$image --store /probe/store --layout whole --format --device "$device" --json
  image-unpacker check --image os/privileged/$image --store /probe/store --device "$device"
done
image-unpacker capture --out disk --device "$device"

refuse() {
  if "$@"; then echo "ALLOWED: $*"; fi
}
refuse touch /usr/file
refuse touch /etc/file
refuse unshare --mount true
refuse unshare --user true
refuse mount -t tmpfs none /probe/store
refuse chroot / true
# Settings are only ever set to what they are.
for setting in /proc/sys/vm/swappiness /sys/kernel/mm/transparent_hugepage/khugepaged/defrag; do
  value=$(cat "$setting")
  refuse sh -c "echo $value >$setting"
done
refuse ls /home/secret
mknod /probe/memory c 1 1
refuse head -c 1 /probe/memory
mknod /probe/fuse c 10 229
refuse python3 -c 'open("/probe/fuse", "r+b", 0)'
refuse python3 -c 'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'
`;

systemTest(
  'under the unit volumes can be made, patched, checked and captured, and nothing else be touched',
  t => {
    const system = new BootedSystem(t);
    makeImages(t, system.path('probe/store'));
    system.write('home/secret/file', '');
    system.write('probe/script', PROBE_SCRIPT);
    const units = system.path('etc/systemd/system');
    run('cp', '-r', join(units, 'image-unpacker.service'), join(units, 'probe.service'));
    run('cp', '-r', join(units, 'image-unpacker.service.d'), join(units, 'probe.service.d'));
    system.write('etc/systemd/system/probe.service.d/30-probe.conf', PROBE);
    const { status, output } = system.boot('systemctl start probe.service');
    const said = readFileSync(system.path('probe/output'), 'utf8');
    t.is(status, 0, output + said);
    t.false(said.includes('ALLOWED'), said);
    // The kernel's block events can be had there.
    t.is(said.match(/"blocksWritten":\d+/g)?.length, 2, said);
  },
);

/** The watchdog's time in this test: long enough for a busy machine, short enough to be waited for. */
const WATCHDOG_SECONDS = 4;

/** Has the agent unpack images and reads blocks of their disks, as a publisher would. */
const clientOf = (stream: string, leaves: string[]): string => `
import { connectUnpacker } from '/opt/image-unpacker/dist/rpc/unpacker-client.js';
import { execFileSync } from 'node:child_process';
const agent = await connectUnpacker('unix:/run/image-unpacker/agent.sock');
for (const image of ${JSON.stringify(leaves.map(leaf => `${stream}/${leaf}`))}) {
  const shown = execFileSync('imagetool', ['show', image, '--store', '/var/lib/images', '--json'], { encoding: 'utf8' });
  const { digest } = JSON.parse(shown);
  const { blocksWritten } = await agent.unpack({ image, digest, create: true });
  const capture = await agent.capture('${stream}', digest);
  let blocks = 0;
  for await (const block of capture.blocks([0, 1])) blocks += block.length / 524288;
  await capture.close();
  console.log(JSON.stringify({ image, blocksWritten, blocks }));
}
await agent.close();
`;

const AGENT_SCRIPT = `
show() { systemctl show image-unpacker.service --value -p "$1"; }
systemctl start image-unpacker.service
echo "started: $(show ActiveState), $(show StatusText)"
node /client.mjs
image-unpacker streams --json
sleep ${String(WATCHDOG_SECONDS * 2)}
echo "idle: $(show ActiveState), $(show NRestarts) restarts"

kill -STOP "$(show MainPID)"
while [ "$(show NRestarts)" = 0 ] || [ "$(show ActiveState)" != active ]; do sleep 0.2; done
echo "stuck: $(show ActiveState), $(show NRestarts) restarts"
node /client.mjs

systemctl stop image-unpacker.service
echo "stopped: $(show ActiveState), $(show Result)"
losetup --list --noheadings --output BACK-FILE | { grep /var/lib/image-unpacker || echo 'nothing attached'; }

echo 'stroe: /var/lib/images' >/etc/image-unpacker/agent.yaml
systemctl start image-unpacker.service || sleep 3
echo "wrong: $(show ActiveState), $(show ExecMainStatus), $(show NRestarts) restarts"
journalctl -u image-unpacker.service -o cat | grep stroe
`;

systemTest('systemd starts the agent, feeds on its signs of life, starts it anew and stops it', t => {
  const system = new BootedSystem(t);
  makeImages(t, system.path('var/lib/images'));
  system.write('client.mjs', clientOf('os/privileged', ['1', '2']));
  const watchdog = `[Service]\nWatchdogSec=${String(WATCHDOG_SECONDS)}\n`;
  system.write('etc/systemd/system/image-unpacker.service.d/30-watchdog.conf', watchdog);
  const { status, output } = system.boot(AGENT_SCRIPT);
  t.is(status, 0, output);
  const lines = output.split('\n');
  t.true(lines.includes('started: active, Listening at unix:/run/image-unpacker/agent.sock'), output);
  t.is(output.match(/"blocksWritten":\d+,"blocks":2/g)?.length, 4, output);
  t.true(output.includes('"state":"clean"'), output);
  t.true(lines.includes('idle: active, 0 restarts'), output);
  t.true(lines.includes('stuck: active, 1 restarts'), output);
  t.true(lines.includes('stopped: inactive, success'), output);
  t.true(lines.includes('nothing attached'), output);
  t.true(lines.includes('wrong: failed, 2, 0 restarts'), output);
  t.regex(output, /line 1.*stroe.*did you mean .*store/);
});

const SERVER_SCRIPT = `
show() { systemctl show imageserver.service --value -p "$1"; }
export XDG_CACHE_HOME=/tmp/cache
systemd-sysusers
imageserver make-certs /etc/image-unpacker/imageserver-certs --host 127.0.0.1
chown -R imageserver: /etc/image-unpacker/imageserver-certs
systemctl start imageserver.service
echo "started: $(show ActiveState), $(show StatusText)"
imagetool build os/a/1 --from /tree --server unix:/run/imageserver/imageserver.sock
imagetool build os/a/2 --from /tree --server 127.0.0.1:6971 --certs /etc/image-unpacker/imageserver-certs/uploader
imageserver status --server unix:/run/imageserver/imageserver.sock
stat -c '%U %a' /var/lib/imageserver/images/images
kill -KILL "$(show MainPID)"
while [ "$(show NRestarts)" = 0 ] || [ "$(show ActiveState)" != active ]; do sleep 0.2; done
imagetool list --server 127.0.0.1:6971 --certs /etc/image-unpacker/imageserver-certs/reader --json
imagetool verify os/a/1 --server 127.0.0.1:6971 --certs /etc/image-unpacker/imageserver-certs/reader
systemctl stop imageserver.service
echo "stopped: $(show ActiveState), $(show Result)"
`;

systemTest('systemd starts the image server as a user of its own, starts it anew and stops it', t => {
  const system = new BootedSystem(t);
  run('scripts/install', '--imageserver', '--root', system.path(''), '--package', '/opt/image-unpacker');
  const node = readFileSync(system.path('etc/systemd/system/image-unpacker.service.d/20-node.conf'), 'utf8');
  system.write('etc/systemd/system/imageserver.service.d/20-node.conf', node);
  system.write(
    'etc/image-unpacker/imageserver.yaml',
    'listen: [unix:/run/imageserver/imageserver.sock, 127.0.0.1:6971]\nstore: /var/lib/imageserver/images\ncerts: imageserver-certs\n',
  );
  system.write('tree/etc/issue', 'hello');
  // The agent is root, whom it does not trouble that nobody else may enter the system.
  chmodSync(system.path(''), 0o755);
  const { status, output } = system.boot(SERVER_SCRIPT);
  t.is(status, 0, output);
  const lines = output.split('\n');
  t.true(output.includes('started: active, Listening at unix:/run/imageserver/imageserver.sock, '), output);
  t.true(
    lines.some(line => line.startsWith('imageserver ')),
    output,
  );
  t.true(output.includes('"name":"os/a/1"') && output.includes('"name":"os/a/2"'), output);
  t.true(lines.includes('stopped: inactive, success'), output);
});

/** The commands in docs/operations.md from `heading` on. */
function commandsOf(heading: string): string {
  const [, part] = readFileSync('docs/operations.md', 'utf8').split(`\n## ${heading}\n`);
  return [...part!.matchAll(/^```\n(.*?)^```$/gms)].map(([, lines]) => lines!).join('');
}

systemTest('what the operations guide says to do can be done', t => {
  const system = new BootedSystem(t);
  const tree = system.path('tree');
  run('mkdir', '-p', join(tree, 'etc'));
  const store = system.path('var/lib/images');
  run('bin/imagetool', 'build', 'base/debian-12/2026-11-23', '--from', tree, '--store', store);
  system.write('client.mjs', clientOf('base/debian-12', ['2026-11-23']));
  const started = 'systemctl start image-unpacker\nnode /client.mjs\n';
  const { status, output } = system.boot(`set -x\n${started}${commandsOf('Three in the morning')}`);
  t.is(status, 0, output);
  t.true(output.includes('The volume is exactly base/debian-12/2026-11-23'), output);
});
