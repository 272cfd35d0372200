import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { prepare } from './prepare.js';
import { imagetoolOn, json } from './run.js';

/*
 * What was damaged in a store is found, said, and mended by building the same again.
 */

test('verify finds what is damaged and says what needs it', async t => {
  const { store, source } = prepare(t);
  await json(store, 0, 'build', 's/1', '--from', source);
  t.like(await json(store, 0, 'verify', 's/1'), { ok: true, objects: 2, bytes: 8, faults: [] });
  const digest = sha512(Buffer.from('one')).toString('hex');
  const object = join(store, 'objects/sha512', digest.slice(0, 2), digest);
  chmodSync(object, 0o644);
  writeFileSync(object, 'two');
  const fault = { digest, kind: 'data', state: 'damaged', neededBy: ['/a/one', '/a/two'] };
  t.like(await json(store, 1, 'verify', 's/1'), { ok: false, faults: [fault] });
  const { code, out } = await imagetoolOn(store, 'verify', 's/1');
  t.is(code, 1);
  t.true(
    out.includes(`object ${digest} is damaged; needed by\n  /a/one\n  /a/two\ns/1 is not good: 1 fault;`),
  );
});

test('what verify found to be damaged is mended by building the same again', async t => {
  const { store, source } = prepare(t);
  const { digest } = (await json(store, 0, 'build', 's/1', '--from', source)) as { digest: string };
  const hex = sha512(Buffer.from('one')).toString('hex');
  const object = join(store, 'objects/sha512', hex.slice(0, 2), hex);
  chmodSync(object, 0o644);
  writeFileSync(object, 'eno');
  t.like(await json(store, 1, 'verify', 's/1'), { ok: false, mendable: true });
  t.like(await json(store, 0, 'build', 's/2', '--from', source), { digest, newObjects: 1 });
  for (const name of ['s/1', 's/2']) t.like(await json(store, 0, 'verify', name), { ok: true });
});

test('the manifest is mended by building the same again, be it known to be damaged or not', async t => {
  const { store, source } = prepare(t);
  const { digest } = (await json(store, 0, 'build', 's/1', '--from', source)) as { digest: string };
  const object = join(store, 'objects/sha512', digest.slice(0, 2), digest);
  chmodSync(object, 0o644);
  writeFileSync(object, readFileSync(object).reverse());
  t.like(await json(store, 0, 'build', 's/2', '--from', source, '--mtimes-from', 'none'), { digest });
  t.like(await json(store, 0, 'verify', 's/1'), { ok: true });
});

/** The objects of a store, by their first bytes. */
function objectsThatBegin(store: string, magic: string): string[] {
  const objects = join(store, 'objects/sha512');
  return readdirSync(objects, { recursive: true, encoding: 'utf8' })
    .filter(name => /^..\/[0-9a-f]{128}$/.test(name))
    .map(name => join(objects, name))
    .filter(path => readFileSync(path, 'latin1').startsWith(magic));
}

for (const [what, damage] of [
  ['index', (store: string) => objectsThatBegin(store, 'iuindex1')],
  ['page', (store: string) => objectsThatBegin(store, 'iupage1')],
  ['record', (store: string) => [join(store, 'images/s/@1')]],
] as const) {
  test(`the newest image with a damaged ${what} does not keep another from being built`, async t => {
    const { store, source } = prepare(t);
    await json(store, 0, 'build', 's/1', '--from', source);
    for (const path of damage(store)) {
      chmodSync(path, 0o644);
      writeFileSync(path, readFileSync(path).reverse());
    }
    writeFileSync(join(source, 'c'), 'new');
    const asked = await imagetoolOn(store, 'build', 's/2', '--from', source, '--mtimes-from', 's/1');
    t.is(asked.code, 1);
    t.regex(asked.err, /The image s\/1, whose times .* is damaged: .*; or say --mtimes-from none/);
    const built = await imagetoolOn(store, 'build', 's/2', '--from', source);
    t.is(built.code, 0, built.err);
    t.regex(
      built.err,
      /whose times unchanged content would keep, is damaged: .*; the times of the source are taken/,
    );
    const { digest } = (await json(store, 0, 'build', 't/1', '--from', source)) as { digest: string };
    t.like(await json(store, 0, 'verify', 's/2'), { ok: true, digest });
  });
}
