import { fileURLToPath } from 'node:url';
import test from 'ava';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';

const root = fileURLToPath(new URL('../..', import.meta.url));

// The project's own configuration, without the rules that would need the file to exist.
const eslint = new ESLint({ cwd: root, overrideConfig: [tseslint.configs.disableTypeChecked] });

/** What the linter has against `text` as the content of `file`, as far as imports and the process go. */
async function faults(file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: `${root}${file}` });
  return result!.messages
    .filter(
      ({ ruleId, fatal }) =>
        fatal || /^(project\/imports|no-console|no-restricted-properties)$/.test(ruleId ?? ''),
    )
    .map(({ message }) => message);
}

const folders = [
  'image',
  'source',
  'store',
  'volume',
  'cloud',
  'rpc',
  'imageserver',
  'unpacker',
  'publisher',
  'cli',
];

test('a folder imports itself and the folders before it, and none after it', async t => {
  for (const [at, from] of folders.entries()) {
    for (const [other, to] of folders.entries()) {
      const apart = from === 'publisher' && (to === 'volume' || to === 'unpacker');
      const found = await faults(`src/${from}/a.ts`, `import { b } from '../${to}/b.js';\nb();\n`);
      t.is(found.length, other > at || apart ? 1 : 0, `${from} imports ${to}: ${found.join()}`);
    }
  }
});

const refused: [what: string, file: string, text: string][] = [
  ['a type', 'src/image/a.ts', "import type { B } from '../store/b.js';\nexport type A = B;\n"],
  ['an import()', 'src/image/a.ts', "await import('../store/b.js');\n"],
  ['an import() of a type', 'src/image/a.ts', "export type A = import('../store/b.js').B;\n"],
  ['an export from', 'src/image/a.ts', "export { b } from '../store/b.js';\n"],
  ['an export of all', 'src/image/a.ts', "export * from '../store/b.js';\n"],
  ['a require', 'src/image/a.ts', "require('../store/b.js');\n"],
  ['a folder below', 'src/cloud/aws/a.ts', "import '../../publisher/b.js';\n"],
  ['a folder below by a folder below', 'src/image/deep/a.ts', "import '../../store/local/b.js';\n"],
  ['a folder that is not listed', 'src/other/a.ts', "import '../image/b.js';\n"],
  ['the addon module by image', 'src/image/a.ts', "import '../native.js';\n"],
  ['the addon module by cloud', 'src/cloud/aws/a.ts', "import '../../native.js';\n"],
  ['the addon module by publisher', 'src/publisher/a.ts', "import '../native.js';\n"],
  ['a folder by the addon module', 'src/native.ts', "import './store/b.js';\n"],
  ['the addon', 'src/volume/a.ts', "require('#addon');\n"],
  ['the file of the addon', 'src/volume/a.ts', "require('../../build/Release/image_unpacker.node');\n"],
  ['fs-ext', 'src/store/other.ts', "import 'fs-ext';\n"],
  ['fs-ext by a namesake', 'src/volume/store/lock.ts', "import 'fs-ext';\n"],
  ['an AWS package', 'src/cloud/local/a.ts', "await import('@aws-sdk/client-ebs');\n"],
  [
    'an AWS type',
    'src/publisher/a.ts',
    "import type { B } from '@aws-sdk/client-ec2';\nexport type A = B;\n",
  ],
  ['the process', 'src/unpacker/a.ts', "import { exit } from 'node:process';\nexit();\n"],
];

for (const [what, file, text] of refused) {
  test(`refused: ${what}`, async t => {
    t.is((await faults(file, text)).length, 1);
  });
}

const allowed: [what: string, file: string, text: string][] = [
  ['the addon module by volume', 'src/volume/ext4/a.ts', "import '../../native.js';\n"],
  ['the addon module by cli', 'src/cli/imagetool/a.ts', "await import('../../native.js');\n"],
  ['image by the addon module', 'src/native.ts', "import './image/error.js';\n"],
  ['the addon by its module', 'src/native.ts', "require('#addon');\n"],
  ['fs-ext by the lock', 'src/store/lock.ts', "import 'fs-ext';\n"],
  ['AWS by its cloud', 'src/cloud/aws/a.ts', "await import('@aws-sdk/client-ebs');\n"],
  ['S3 by the S3 store', 'src/store/s3.ts', "await import('@aws-sdk/client-s3');\n"],
  ['S3 by the folder of the S3 store', 'src/store/s3/a.ts', "await import('@aws-sdk/client-s3');\n"],
  ['a package and a part of Node', 'src/image/a.ts', "import 'node:crypto';\nimport 'xxhash-wasm';\n"],
  ['anything by a test', 'test/image/a.test.ts', "import '../../src/store/a.js';\nimport 'fs-ext';\n"],
  ['console and process by cli', 'src/cli/a.ts', 'console.log(1);\nprocess.exit(process.stdout.columns);\n'],
];

for (const [what, file, text] of allowed) {
  test(`allowed: ${what}`, async t => {
    t.deepEqual(await faults(file, text), []);
  });
}

test('only the programs write to the console and end the process', async t => {
  for (const text of [
    'console.log(1);',
    'process.stdout.write("");',
    'process.stderr.write("");',
    'process.exit(1);',
  ]) {
    t.is((await faults('src/store/a.ts', `${text}\n`)).length, 1, text);
  }
});

test('no file is called utils', async t => {
  for (const file of [
    'src/image/utils.ts',
    'src/store/util.ts',
    'src/store/path-utils.ts',
    'test/utils/a.ts',
  ]) {
    t.is((await faults(file, 'export {};\n')).length, 1, file);
  }
  t.deepEqual(await faults('src/image/outil.ts', 'export {};\n'), []);
});
