import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { directory, file } from './agent-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

const SECRET = 'what nobody is to find';
/** There is no kernel in the trees of these tests. */
const LAYOUTS = [{ layout: 'whole' }, { layout: 'disk', boot: { boot: false } }] as const;

/** A tree with the secret in contents, names, attributes and links; and the same without it. */
async function trees({ store }: VolumeFixture): Promise<{ secret: Entry[]; plain: Entry[] }> {
  const kept = Buffer.from('kept');
  const { digest } = await store.put(kept);
  const put = async (size: number): Promise<{ size: bigint; digest: Buffer }> => {
    const content = Buffer.alloc(size, `${SECRET} `);
    return { size: BigInt(size), digest: (await store.put(content)).digest };
  };
  const names = Array.from({ length: 60 }, (_, at) => `d/${SECRET} ${String(at).padStart(2, '0')}`);
  const secret = [
    directory(''),
    directory('d'),
    ...(await Promise.all(names.map(async name => file(name, await put(20_000))))),
    file('small', {
      ...(await put(100)),
      xattrs: [{ name: Buffer.from('user.a'), value: Buffer.from(SECRET) }],
    }),
    file('stays', { size: BigInt(kept.length), digest }),
  ];
  const short = { size: BigInt(kept.length), digest };
  return { secret, plain: [directory(''), directory('d'), file('small', short), file('stays', short)] };
}

for (const how of LAYOUTS) {
  const { layout } = how;
  test(`nothing of an image is left of which the next one, scrubbed, has nothing (${layout})`, async t => {
    const fixture = await VolumeFixture.make(t, 256 << 20);
    const { secret, plain } = await trees(fixture);
    const [first, second] = [await fixture.image(secret), await fixture.image(plain)];
    await fixture.apply(first, how);
    t.true(readFileSync(fixture.file).includes(SECRET));
    t.like(await fixture.apply(second), { scrubbed: false });
    t.true(readFileSync(fixture.file).includes(SECRET), 'the test has something to find');
    t.like(await fixture.apply(second, { scrub: true }), { scrubbed: true, scan: 'none', from: second });
    t.false(readFileSync(fixture.file).includes(SECRET));
    t.like(await fixture.checkImage(second), { identical: true });
    const out = join(fixture.directory, 'out');
    await fixture.capture(out);
    t.true(readFileSync(out).equals(readFileSync(fixture.file)), 'it is what a capture of it is');
    const before = fixture.bytes();
    t.like(await fixture.apply(second, { scrub: true }), { scan: 'none', blocksWritten: 0 });
    t.is(fixture.bytes(), before);
  });

  test(`an image that is patched and scrubbed at once leaves nothing either, and is patched again (${layout})`, async t => {
    const fixture = await VolumeFixture.make(t, 256 << 20);
    const { secret, plain } = await trees(fixture);
    const [first, second] = [await fixture.image(secret), await fixture.image(plain)];
    await fixture.apply(first, how);
    t.like(await fixture.apply(second, { scrub: true }), { scrubbed: true, scan: 'none' });
    t.false(readFileSync(fixture.file).includes(SECRET));
    t.like(await fixture.checkImage(second), { identical: true });
    t.like(await fixture.apply(first), { scan: 'none', from: second });
    t.like(await fixture.checkImage(first), { identical: true });
  });
}

test('scrubbing that is stopped leaves a volume that counts as doubtful, and is done by the next call', async t => {
  const fixture = await VolumeFixture.make(t, 256 << 20);
  const { secret, plain } = await trees(fixture);
  const [first, second] = [await fixture.image(secret), await fixture.image(plain)];
  await fixture.apply(first);
  await fixture.apply(second);
  const stop = new AbortController();
  const progress = {
    step: (what: string) => ({
      // It has written something by then: the first blocks have the slack of directories and inodes.
      update: (done: number) => {
        if (what === 'Scrubbing the disk' && done > 8 << 20) stop.abort();
      },
      end: () => undefined,
    }),
  };
  const stopped = fixture.apply(second, { scrub: true, progress, signal: stop.signal });
  await t.throwsAsync(stopped, { code: 'CANCELLED' });
  await t.throwsAsync(fixture.capture(join(fixture.directory, 'out')), { code: 'VOLUME_DOUBTFUL' });
  t.like(await fixture.apply(second, { scrub: true }), { scan: 'repair' });
  t.false(readFileSync(fixture.file).includes(SECRET));
  t.like(await fixture.checkImage(second), { identical: true });
});
