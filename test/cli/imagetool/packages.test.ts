import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
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
  t.regex(built.err, /1 entries that are no packages/);
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
