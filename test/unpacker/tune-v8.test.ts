import { spawnSync } from 'node:child_process';
import test from 'ava';

for (const tune of ['tuneV8', 'letBuffersGoEarly']) {
  test(`V8 knows the flags that ${tune} gives it`, t => {
    const module = new URL('../../src/unpacker/tune-v8.ts', import.meta.url).href;
    const text = `import { ${tune} } from ${JSON.stringify(module)}; ${tune}();`;
    const words = ['--import=tsx', '--input-type=module', '--eval', text];
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    t.is(stderr, '');
    t.is(status, 0);
  });
}
