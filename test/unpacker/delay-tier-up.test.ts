import { spawnSync } from 'node:child_process';
import test from 'ava';

test('V8 knows the flag that it is given', t => {
  const module = new URL('../../src/unpacker/delay-tier-up.ts', import.meta.url).href;
  const text = `import { delayTierUp } from ${JSON.stringify(module)}; delayTierUp();`;
  const words = ['--import=tsx', '--input-type=module', '--eval', text];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  t.is(stderr, '');
  t.is(status, 0);
});
