import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { makeMutant, MUTATIONS } from './mutations.js';
import type { ScenarioName } from './scenarios.js';

/*
 * The rig finds out when a step is missing that protects something: each was found with the seed that is kept in
 * mutation-seeds.json, and with it the sources as they are keep their promises.
 */

interface KeptSeed {
  mutation: string;
  scenario: ScenarioName;
  seed: number;
  count: number;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What try-scenario.ts ends with when a promise was broken. */
const BROKEN = 3;

const seeds = JSON.parse(
  readFileSync(new URL('mutation-seeds.json', import.meta.url), 'utf8'),
) as readonly KeptSeed[];

/** Tries a scenario in a process of its own, of the sources in a directory. */
async function tryIn(
  directory: string,
  { scenario, seed, count }: KeptSeed,
): Promise<{ code: number | null; said: string }> {
  const words = [
    '--import=tsx',
    'test/crash/try-scenario.ts',
    scenario,
    String(seed),
    String(count),
    'small',
  ];
  const child = spawn(process.execPath, words, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => (said += String(text)));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said: said.trim() };
}

test('there is a seed for each mutation', t => {
  t.deepEqual(
    seeds.map(({ mutation }) => mutation),
    MUTATIONS.map(({ name }) => name),
  );
});

for (const mutation of MUTATIONS) {
  const kept = seeds.find(seed => seed.mutation === mutation.name)!;
  test.serial(`without ${mutation.name} a promise is broken, and with it none`, async t => {
    const directory = makeMutant(mutation);
    t.teardown(() => {
      rmSync(directory, { recursive: true });
    });
    const mutant = await tryIn(directory, kept);
    t.is(mutant.code, BROKEN, mutant.said);
    t.log(mutant.said);
    const { code, said } = await tryIn(ROOT, kept);
    t.is(code, 0, said);
  });
}
