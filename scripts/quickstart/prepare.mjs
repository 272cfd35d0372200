import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { loopDeviceFault } from '../loop-devices.mjs';
import { npmPackagesAreCurrent } from '../npm-packages.mjs';
import { run } from './child.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What is missing for volumes, and what to do, or undefined when they can be worked on. */
export function missingHere() {
  if (process.getuid() !== 0)
    return 'It makes file systems and mounts them, which takes root. Run it as root.';
  const fault = loopDeviceFault();
  if (fault === undefined) return undefined;
  const { status } = spawnSync('systemd-detect-virt', ['--quiet', '--container']);
  const advice =
    status === 0
      ? 'This is a container: give it /dev/loop-control and loop devices (docker run --privileged -v /dev:/dev …)'
      : 'Load the kernel module: modprobe loop';
  return `It keeps its volumes on loop devices, and there are none to be had here (${fault}). ${advice}`;
}

/** Installs what is missing, of the system and of npm, and builds what is stale. */
export async function prepare(signal) {
  const install =
    "import('./scripts/system-packages.mjs').then(({ installSystemPackages }) => installSystemPackages())";
  const options = { signal, cwd: root };
  const { stdout } = await run(process.execPath, ['-e', install], options);
  if (!npmPackagesAreCurrent(root)) await run('npm', ['ci', '--include=dev'], options);
  await run('npm', ['run', 'build'], options);
  return stdout.split('\n').find(line => /^(MISSING|This distribution)/.test(line)) ?? '';
}
