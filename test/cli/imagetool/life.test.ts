import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { prepare } from './prepare.js';
import { imagetoolOn, json } from './run.js';

const code = (result: unknown): string => (result as { error: { code: string } }).error.code;

async function withImages(t: ExecutionContext): Promise<{ store: string; source: string }> {
  const { store, source } = prepare(t);
  await json(store, 0, 'build', 's/1', '--from', source, '--expires-in', '1s');
  await json(store, 0, 'build', 's/2', '--from', source, '--expires-in', '30d', '--tag', 'a=1');
  return { store, source };
}

test('a channel stands for the image that it names', async t => {
  const { store } = await withImages(t);
  t.like(await json(store, 0, 'set-channel', 's@stable', 's/1', '--from', 'none'), {
    channel: 's@stable',
    image: 's/1',
  });
  t.like(await json(store, 0, 'show', 's@stable'), { name: 's/1' });
  t.is(code(await json(store, 1, 'set-channel', 's@stable', 's/2', '--from', 'none')), 'CHANNEL_CHANGED');
  await json(store, 0, 'set-channel', 's@stable', 's/2', '--from', 's/1');
  t.like(await json(store, 0, 'verify', 's@stable'), { name: 's/2', ok: true });
  t.like(await json(store, 0, 'diff', 's/1', 's@stable'), { from: 's/1', to: 's/2' });
  const [row, ...others] = (await json(store, 0, 'channels')) as object[];
  t.deepEqual(others, []);
  t.like(row, { channel: 's@stable', image: 's/2' });
  const { history } = (await json(store, 0, 'channel', 's@stable')) as { history: { image: string }[] };
  t.deepEqual(
    history.map(({ image }) => image),
    ['s/1', 's/2'],
  );
  t.is(code(await json(store, 1, 'delete', 's/2')), 'IMAGE_IN_USE');
  t.is(code(await json(store, 1, 'show', 's@stabel')), 'CHANNEL_UNKNOWN');
  t.regex((await imagetoolOn(store, 'show', 's@stabel')).err, /did you mean s@stable\?/);
  await json(store, 0, 'set-channel', 's@test', 's@stable');
  await json(store, 0, 'set-channel', 's@stable', '--remove');
  t.is((await imagetoolOn(store, 'channels')).out.split('\n').length, 3);
  await json(store, 2, 'set-channel', 's@stable');
  await json(store, 2, 'set-channel', 's/stable', 's/1');
});

test('an image lasts longer when it is told to, and shorter only with --shorten', async t => {
  const { store } = await withImages(t);
  t.is(code(await json(store, 1, 'set-expiry', 's/2', '--expires-in', '1d')), 'EXPIRY_SOONER');
  await json(store, 0, 'set-expiry', 's/2', '--expires-in', '60d');
  t.like(await json(store, 0, 'set-expiry', 's/2', '--never'), { name: 's/2', expiresAt: null });
  t.is(code(await json(store, 1, 'set-expiry', 's/2', '--expires-in', '900d')), 'EXPIRY_SOONER');
  const { expiresAt } = (await json(store, 0, 'set-expiry', 's/2', '--expires-in', '1d', '--shorten')) as {
    expiresAt: string;
  };
  t.true(Date.parse(expiresAt) < Date.now() + 86_401_000);
  await json(store, 2, 'set-expiry', 's/2');
  await json(store, 2, 'set-expiry', 's/2', '--never', '--expires-in', '1d');
});

test('tags are set and taken away', async t => {
  const { store } = await withImages(t);
  t.like(await json(store, 0, 'tag', 's/2', '--tag', 'b=2', '--remove', 'a'), { tags: { b: '2' } });
  t.like(await json(store, 0, 'show', 's/2'), { tags: { b: '2' } });
  await json(store, 2, 'tag', 's/2');
});

test('images that have expired are deleted, and their names keep their meaning', async t => {
  const { store, source } = await withImages(t);
  await new Promise(resolve => setTimeout(resolve, 1100));
  t.like(await json(store, 0, 'latest', 's'), { name: 's/2' });
  t.like(await json(store, 0, 'expire', '--dry-run'), { dryRun: true });
  t.is(((await json(store, 0, 'list')) as unknown[]).length, 2);
  const { removed } = (await json(store, 0, 'expire')) as { removed: { name: string }[] };
  t.deepEqual(
    removed.map(({ name }) => name),
    ['s/1'],
  );
  writeFileSync(join(source, 'more'), 'more');
  t.is(code(await json(store, 1, 'build', 's/1', '--from', source)), 'IMAGE_DELETED');
  await json(store, 0, 'build', 's/1', '--from', source, '--reuse-name');
});
