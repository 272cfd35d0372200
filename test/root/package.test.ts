import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import test from 'ava';
import { run, temporaryDirectory } from './ext4-fixture.js';

/*
 * The package as another tool uses it: what `npm pack` packs, unpacked elsewhere, and a pipeline there that is
 * compiled against its types and publishes. The addon and the other packages are those that are here already;
 * scripts/test-package has npm install all of it.
 */

test('a pipeline elsewhere that has the package installed is compiled with it and publishes', t => {
  const directory = temporaryDirectory(t);
  const modules = join(directory, 'node_modules');
  const installed = join(modules, 'image-unpacker');
  mkdirSync(installed, { recursive: true });
  const name = run('npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', directory).trim();
  run('tar', '-xf', join(directory, name), '-C', installed, '--strip-components=1');
  symlinkSync(resolve('build'), join(installed, 'build'));
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
  for (const each of [...Object.keys(dependencies), '@types/node']) {
    mkdirSync(dirname(join(modules, each)), { recursive: true });
    symlinkSync(resolve('node_modules', each), join(modules, each));
  }
  cpSync('test/package', directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }\n');
  run('node_modules/.bin/tsc', '--project', directory);
  mkdirSync(join(directory, 'work'));
  const said = run(process.execPath, join(directory, 'out/pipeline.js'), join(directory, 'work'));
  t.is(said.trim().split('\n').length, 3, said);
});
