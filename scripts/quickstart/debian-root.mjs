import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ProgramFailure, run, runToEnd } from './child.mjs';

const SUITE = 'bookworm';
const FILE = `debian-12-${process.arch}.tar`;

/** The Debian that was made before and kept in `directory`, or undefined. */
export function keptDebian(directory) {
  const file = join(directory, FILE);
  return existsSync(file) ? file : undefined;
}

/** Makes a small Debian from the machine's own mirror, and keeps it in `directory`. Resolves to its tar file. */
export async function makeDebian(directory, signal) {
  const maker = await findMaker(signal);
  const work = mkdtempSync(join(directory, 'debian-'));
  try {
    const made = join(work, 'root.tar');
    // Whatever is mounted in between is seen by this program alone, and goes with it.
    await run('unshare', ['--mount', ...maker(work, made, await findMirror(signal))], {
      signal,
      env: { ...process.env, TMPDIR: work },
    });
    const kept = join(directory, FILE);
    renameSync(made, kept);
    return kept;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const viaMmdebstrap = (_, made, mirror) => ['mmdebstrap', '--variant=minbase', SUITE, made, ...mirror];

const viaDebootstrap = (work, made, mirror) => [
  'sh',
  '-ec',
  'root=$1 made=$2; shift 2; debootstrap --variant=minbase "$1" "$root" $2; tar -C "$root" --numeric-owner --xattrs -cf "$made" .',
  'sh',
  join(work, 'root'),
  made,
  SUITE,
  ...mirror,
];

/** The program that makes a Debian here, installed if need be: its command line, of a work directory, a file and a mirror. */
async function findMaker(signal) {
  const isThere = async name => (await runToEnd('sh', ['-c', `command -v ${name}`], { signal })).status === 0;
  if (await isThere('mmdebstrap')) return viaMmdebstrap;
  if (await isThere('debootstrap')) return viaDebootstrap;
  if (await isThere('apt-get')) {
    const install = 'apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120';
    const line = `${install} mmdebstrap debian-archive-keyring`;
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('sh', ['-c', `${line} || { apt-get -q update && ${line}; }`], { signal, env });
    return viaMmdebstrap;
  }
  throw new ProgramFailure(
    'There is neither mmdebstrap nor debootstrap here to make a Debian with; give content of your own: npm run quickstart -- SOURCE',
  );
}

/** Where this machine itself gets the release from, when it does: no or one parameter. */
async function findMirror(signal) {
  const parameters = ['indextargets', '--format', '$(ORIGIN) $(CODENAME) $(SITE)', 'Created-By: Packages'];
  const { stdout } = await runToEnd('apt-get', parameters, { signal }).catch(reason => {
    if (reason instanceof ProgramFailure) return { stdout: '' };
    throw reason;
  });
  const line = stdout.split('\n').find(each => each.startsWith(`Debian ${SUITE} `));
  return line === undefined ? [] : [line.split(' ')[2]];
}
