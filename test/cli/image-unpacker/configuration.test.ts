import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { readAgentConfiguration } from '../../../src/cli/image-unpacker/configuration.js';
import { parseSize } from '../../../src/cli/size.js';
import { DEFAULT_LIMITS } from '../../../src/image/settable-limits.js';

function write(t: ExecutionContext, text: string): { directory: string; path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'configuration-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const path = join(directory, 'agent.yaml');
  writeFileSync(path, text);
  return { directory, path };
}

test('paths of a configuration are relative to it', async t => {
  const text =
    'listen: localhost:7000\nstateDir: state\nstore: /images\nvolumes: { directory: v, size: 8GiB }\n';
  const { directory, path } = write(t, text);
  t.like(await readAgentConfiguration(path), {
    listen: ['localhost:7000'],
    stateDir: join(directory, 'state'),
    store: '/images',
    volumes: { directory: join(directory, 'v'), size: 8 * 2 ** 30 },
  });
});

test('how a stream boots is what is said of it, else what is said of all', async t => {
  const text = `
layout: disk
boot: { console: 'ttyAMA0', timeout: 3 }
disk: { espSize: 128MiB }
streams:
  base/debian-12:
    boot: { timeout: 0, kernelOptions: quiet, files: replace }
    disk: { identity: image }
  data/plain: { layout: whole }
`;
  const { settingsOf } = await readAgentConfiguration(write(t, text).path);
  t.like(settingsOf('base/debian-12'), {
    layout: 'disk',
    boot: { console: 'ttyAMA0', timeout: 0, kernelOptions: 'quiet', files: 'replace' },
    disk: { espBytes: 128 << 20, identity: 'image' },
  });
  t.like(settingsOf('data/plain'), { layout: 'whole', boot: { timeout: 3 } });
  t.deepEqual(settingsOf('base/other').boot, { console: 'ttyAMA0', timeout: 3 });
});

test('limits that are left out are the usual ones', async t => {
  const { path } = write(t, 'limits: { entries: 20000000 }\n');
  const { limits } = await readAgentConfiguration(path);
  t.deepEqual(limits, { ...DEFAULT_LIMITS, entries: 20_000_000 });
  t.is((await readAgentConfiguration(write(t, 'store: s\n').path)).limits, undefined);
});

test('what is wrong with a configuration is said with its line', async t => {
  const cases: [text: string, message: RegExp][] = [
    ['stateDir: s\nlisen: x\n', /line 2: unknown key "lisen"; did you mean "listen"/],
    ['volumes:\n  directory: v\n  sise: 1\n', /line 3: unknown key "sise"; did you mean "size"/],
    ['volumes:\n  directory: v\n  size: large\n', /line 3: .*"large" is no size/],
    ['boot:\n  consol: x\n', /line 2: unknown key "consol"; did you mean "console"/],
    ['streams:\n  base/os:\n    boot: { timeout: -1 }\n', /line 3: .*timeout/],
    ['streams: { /bad: {} }\n', /no name of a stream/],
    ['volumes: { size: 1GiB }\n', /directory/],
    ['limits:\n  entries: 0\n', /line 2: .*a limit is 1 or more/],
    ['limits:\n  nameBytes: 256\n', /line 2: .*no image has more than 255/],
    ['limits: { sourceBytes: 5 }\n', /unknown key "sourceBytes"/],
    ['- a\n', /line 1: a mapping of keys to values is expected/],
    ['a: b: c\n', /line 1/],
  ];
  for (const [text, message] of cases) {
    await t.throwsAsync(
      readAgentConfiguration(write(t, text).path),
      { code: 'CONFIGURATION', message },
      text,
    );
  }
  await t.throwsAsync(readAgentConfiguration('/no/such/file'), {
    code: 'CONFIGURATION',
    message: /Cannot read/,
  });
});

test('sizes are read as people write them', t => {
  t.deepEqual(['1024', '1KiB', '3 MiB', '8GiB', '2TiB'].map(parseSize), [
    1024,
    1024,
    3 * 2 ** 20,
    8 * 2 ** 30,
    2 * 2 ** 40,
  ]);
  for (const text of ['', '0', '-1', '1.5GiB', '8GB', '8gib', '9999999TiB']) {
    t.throws(() => parseSize(text), { code: 'USAGE' }, text);
  }
});
