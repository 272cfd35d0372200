import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { buildRpms, eraseRpm, installRpms, RPM_PROGRAMS } from '../../model/rpm.js';
import { needs } from '../../needs.js';
import { prepare } from './prepare.js';
import { imagetoolOn, json } from './run.js';

const stanza = (name: string, version: string, more = '', state = 'installed'): string =>
  `Package: ${name}\nStatus: install ok ${state}\nArchitecture: amd64\nMaintainer: Some <one@x.org>\n${more}Version: ${version}\nDescription: x\n more: text\n Package: no\n`;

function write(source: string, path: string, text: string): void {
  mkdirSync(join(source, path, '..'), { recursive: true });
  writeFileSync(join(source, path), text);
}

test('packages of dpkg are kept with the image, shown, compared and told of as SBOM', async t => {
  const { store, source } = prepare(t);
  const plain = (await json(store, 0, 'build', 's/0', '--from', source)) as object;
  t.like(await json(store, 0, 'show', 's/0'), { packages: null, annotations: {} });
  t.is((await imagetoolOn(store, 'sbom', 's/0')).code, 1);
  write(source, 'etc/os-release', 'NAME=x\nID=debian\nVERSION_ID="12"\n');
  const first = [
    stanza('b', '2:1.0+x~1', 'Source: src (1.0)\n'),
    stanza('gone', '1'),
    stanza('rc', '1', '', 'config-files'),
    'Package: ../no\nVersion: 1\n',
  ];
  write(source, 'var/lib/dpkg/status', first.join('\n'));
  write(source, 'var/lib/dpkg/status.d/tz', 'Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n');
  write(source, 'var/lib/dpkg/status.d/tz.md5sums', 'x');
  const built = await imagetoolOn(store, 'build', 's/1', '--from', source);
  t.regex(built.err, /entries that are no packages and are not listed: 1\b/);
  const shown = (await json(store, 0, 'show', 's/1', '--packages')) as { packageList: { name: string }[] };
  t.like(shown, { packages: 3 });
  t.deepEqual(
    shown.packageList.map(({ name }) => name),
    ['b', 'gone', 'tzdata'],
  );
  t.like(shown.packageList[0], { version: '2:1.0+x~1', source: 'src', sourceVersion: '1.0' });
  write(source, 'var/lib/dpkg/status', [stanza('b', '2:1.1'), stanza('new', '3')].join('\n'));
  await json(store, 0, 'build', 's/2', '--from', source);
  const { packages } = (await json(store, 0, 'diff', 's/1', 's/2')) as {
    packages: { added: object[]; removed: object[]; changed: object[] };
  };
  t.deepEqual(packages.changed, [{ name: 'b', architecture: 'amd64', from: '2:1.0+x~1', to: '2:1.1' }]);
  t.like(packages.added[0], { name: 'new' });
  t.like(packages.removed[0], { name: 'gone' });
  t.regex((await imagetoolOn(store, 'diff', 's/1', 's/2')).out, / {2}package b: 2:1\.0\+x~1 -> 2:1\.1\n/);
  for (const format of ['spdx', 'cyclonedx']) {
    const { out } = await imagetoolOn(store, 'sbom', 's/1', '--format', format);
    t.true(out.includes('pkg:deb/debian/b@2:1.0%2Bx~1?arch=amd64&distro=debian-12&upstream=src%401.0'), out);
    t.is((await imagetoolOn(store, 'sbom', 's/1', '--format', format)).out, out);
  }
  t.truthy(plain);
});

test('the list of packages does not change the digest, and a hostile database does not stop a build', async t => {
  const { store, source } = prepare(t);
  write(source, 'var/lib/dpkg/status', `${'x'.repeat(100_000)}\n${'\0\xff: \n'.repeat(1000)}\n:\n`);
  const one = (await json(store, 0, 'build', 's/1', '--from', source)) as { digest: string };
  const own = ['--annotation', `image-unpacker.packages=${join(source, 'var/lib/dpkg/status')}`];
  t.like(await json(store, 0, 'build', 's/2', '--from', source, ...own), { digest: one.digest });
  t.like(await json(store, 0, 'show', 's/1'), { packages: 0 });
});

test('an image whose package list cannot be read is shown and compared, and that is said', async t => {
  const { store, source } = prepare(t);
  write(source, 'var/lib/dpkg/status', stanza('a', '1'));
  await json(store, 0, 'build', 's/1', '--from', source);
  const own = ['--annotation', `image-unpacker.packages=${join(source, 'var/lib/dpkg/status')}`];
  await json(store, 0, 'build', 's/2', '--from', source, ...own);
  const shown = (await json(store, 0, 'show', 's/2', '--packages')) as { packagesFault: string };
  t.like(shown, { name: 's/2', packages: null, packageList: [] });
  t.regex(shown.packagesFault, /package list of the image s\/2 cannot be read: it is no list of packages/);
  const { out } = await imagetoolOn(store, 'show', 's/2');
  t.regex(out, /Packages: {4}The package list of the image s\/2 cannot be read/);
  t.like(await json(store, 0, 'diff', 's/1', 's/2'), { packages: null, packagesFault: shown.packagesFault });
  t.regex(
    (await imagetoolOn(store, 'diff', 's/2', 's/1')).out,
    /package list of the image s\/2 cannot be read/,
  );
  const sbom = await imagetoolOn(store, 'sbom', 's/2');
  t.is(sbom.code, 1);
  t.regex(sbom.err, /package list of the image s\/2 cannot be read/);
});

test('an image whose package list is lost is shown', async t => {
  const { store, source } = prepare(t);
  write(source, 'var/lib/dpkg/status', stanza('a', '1'));
  await json(store, 0, 'build', 's/1', '--from', source);
  const { annotations } = (await json(store, 0, 'show', 's/1')) as { annotations: Record<string, string> };
  const digest = annotations['image-unpacker.packages']!;
  rmSync(join(store, 'objects/sha512', digest.slice(0, 2), digest));
  const shown = (await json(store, 0, 'show', 's/1')) as { packagesFault: string };
  t.regex(shown.packagesFault, /package list of the image s\/1 cannot be read/);
});

const withRpm = needs('databases of rpm', { programs: RPM_PROGRAMS });

withRpm('packages of rpm are kept with the image, shown, compared and told of as SBOM', async t => {
  const { store, source } = prepare(t);
  write(source, 'etc/os-release', 'ID=fedora\nVERSION_ID=40\n');
  const database = join(source, 'usr/lib/sysimage/rpm');
  const build = join(source, '../build');
  const rpms = (name: string, ...versions: string[]): string[] =>
    versions.flatMap(version => buildRpms(join(build, name + version), 'src', [{ name, version }]));
  installRpms(database, [...rpms('Kernel', '1-1', '2-1'), ...rpms('tool', '1:1-1', '1:2-1').slice(0, 1)]);
  t.is((await imagetoolOn(store, 'build', 's/1', '--from', source)).err, '');
  const { packageList } = (await json(store, 0, 'show', 's/1', '--packages')) as { packageList: object[] };
  t.deepEqual(packageList[2], {
    manager: 'rpm',
    name: 'tool',
    version: '1:1-1',
    architecture: 'noarch',
    source: 'src',
    sourceVersion: '7-1',
    maintainer: 'Some Vendor',
    license: 'MIT and (BSD or X)',
  });
  eraseRpm(database, 'Kernel-1-1');
  eraseRpm(database, 'tool');
  installRpms(database, [...rpms('Kernel', '3-1'), ...rpms('tool', '1:2-1')]);
  await json(store, 0, 'build', 's/2', '--from', source);
  const { out: changes } = await imagetoolOn(store, 'diff', 's/1', 's/2');
  t.regex(changes, /\+ package Kernel 3-1\n- package Kernel 1-1\n {2}package tool: 1:1-1 -> 1:2-1\n/);
  for (const format of ['spdx', 'cyclonedx']) {
    const { out } = await imagetoolOn(store, 'sbom', 's/2', '--format', format);
    t.true(
      out.includes('pkg:rpm/fedora/tool@2-1?arch=noarch&distro=fedora-40&epoch=1&upstream=src-7-1.src.rpm'),
      out,
    );
    t.true(out.includes('MIT and (BSD or X)'));
  }
});

test('a database of rpm that is damaged, too old or full of holes does not stop a build, and is told of', async t => {
  const { store, source } = prepare(t);
  const database = 'var/lib/rpm/rpmdb.sqlite';
  write(source, database, 'SQLite format 3\0'.padEnd(8192, 'x'));
  const damaged = await imagetoolOn(store, 'build', 's/1', '--from', source);
  t.is(damaged.code, 0);
  t.regex(damaged.err, /packages of rpm are not listed: \/var\/lib\/rpm\/rpmdb.sqlite: pages cannot/);
  t.like(await json(store, 0, 'show', 's/1'), { packages: null });
  truncateSync(join(source, database), 0);
  truncateSync(join(source, database), 2 ** 40);
  const holes = await imagetoolOn(store, 'build', 's/2', '--from', source);
  t.is(holes.code, 0);
  t.regex(holes.err, /not listed: \/var\/lib\/rpm\/rpmdb.sqlite: it has 1099511627776 bytes, and at most/);
  rmSync(join(source, database));
  write(source, 'var/lib/rpm/Packages', 'x');
  write(source, 'var/lib/dpkg/status', stanza('a', '1'));
  const old = await imagetoolOn(store, 'build', 's/3', '--from', source);
  t.is(old.code, 0);
  t.regex(old.err, /\/var\/lib\/rpm\/Packages is a database of an older form/);
  t.like(await json(store, 0, 'show', 's/3'), { packages: 1 });
});
