import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

const { npmPackagesAreCurrent } = (await import(
  new URL('../../scripts/npm-packages.mjs', import.meta.url).href
)) as { npmPackagesAreCurrent(this: void, root: string): boolean };

const wanted = {
  '': {},
  'node_modules/a': { version: '1.0.0' },
  'node_modules/b': { version: '2.0.0', optional: true },
};

test('packages are current when the installed versions are the wanted ones', async t => {
  const root = await mkdtemp(join(tmpdir(), 'npm-packages-'));
  t.teardown(() => rm(root, { recursive: true }));
  await writeFile(join(root, 'package-lock.json'), JSON.stringify({ packages: wanted }));
  t.false(npmPackagesAreCurrent(root));
  await mkdir(join(root, 'node_modules'));
  const install = (packages: Record<string, { version: string }>) =>
    writeFile(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages }));
  await install({ 'node_modules/a': { version: '1.0.0' } });
  t.true(npmPackagesAreCurrent(root));
  await install({ 'node_modules/a': { version: '1.0.1' } });
  t.false(npmPackagesAreCurrent(root));
  await install({ 'node_modules/b': { version: '2.0.0' } });
  t.false(npmPackagesAreCurrent(root));
  await install({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { version: '1.0.0' } });
  t.false(npmPackagesAreCurrent(root));
});
