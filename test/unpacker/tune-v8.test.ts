import { spawnSync } from 'node:child_process';
import test from 'ava';

test('V8 knows the flag that it is given', t => {
  const module = new URL('../../src/unpacker/tune-v8.ts', import.meta.url).href;
  const text = `import { tuneV8 } from ${JSON.stringify(module)}; tuneV8();`;
  const words = ['--import=tsx', '--input-type=module', '--eval', text];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  t.is(stderr, '');
  t.is(status, 0);
});
