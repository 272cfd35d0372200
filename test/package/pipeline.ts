/*
 * A pipeline of somebody else's, which publishes with the package that it has installed and knows nothing else of it:
 * node pipeline.js DIR. It works in DIR, ends with 0 when all was as it has to be, and says how far it came.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type {
  ErrorCode,
  PublishEvent,
  PublishOptions,
  ResultRow,
  Store,
  Target,
} from 'image-unpacker/publisher';
import {
  connectUnpacker,
  deleteImages,
  ImageUnpackerError,
  listImages,
  localTarget,
  openLocalStore,
  parseTargets,
  plan,
  publish,
  resume,
  rollback,
  runs,
  startUnpacker,
  verify,
} from 'image-unpacker/publisher';

const STREAM = 'nightly/os';
const work = process.argv[2] ?? '.';
const stateDirectory = join(work, 'state');
const storeDirectory = join(work, 'store');

/** Calls a program of the package, wherever it was installed. */
function call(program: string, ...parameters: string[]): void {
  const file = createRequire(import.meta.url).resolve('image-unpacker/package.json');
  const { bin } = JSON.parse(readFileSync(file, 'utf8')) as { bin: Record<string, string> };
  const path = join(dirname(file), bin[program] ?? '');
  execFileSync(process.execPath, [path, ...parameters], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Builds the revision `leaf` of some content; returns the image's name. */
function build(leaf: string): string {
  const tree = join(work, `tree-${leaf}`);
  mkdirSync(join(tree, 'etc'), { recursive: true });
  writeFileSync(join(tree, 'etc/release'), `${leaf}\n`);
  writeFileSync(join(tree, 'etc/data'), Buffer.alloc(1 << 20, 'the same in each revision'));
  call('imagetool', 'build', `${STREAM}/${leaf}`, '--from', tree, '--store', storeDirectory);
  return `${STREAM}/${leaf}`;
}

/** An event in a few words. That each kind is known is for the compiler to see. */
function describe(event: PublishEvent): string {
  switch (event.type) {
    case 'run':
      return `run ${event.image}`;
    case 'begin':
    case 'end':
      return `${event.type} ${event.stage}`;
    case 'progress':
      return `progress ${event.stage} ${String(event.done)}`;
    case 'note':
      return `note ${event.message}`;
    case 'result':
      return `result ${event.row.Target}`;
    default:
      return event satisfies never;
  }
}

/** What a call fails with. */
async function codeOf(failing: Promise<unknown>): Promise<ErrorCode> {
  const reason: unknown = await failing.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(reason instanceof ImageUnpackerError, String(reason));
  return reason.code;
}

/** Publishes two revisions to two directories, and once more what is there already. */
async function publishRevisions(options: Omit<PublishOptions, 'image'>, [first, second]: [string, string]) {
  const { targets, store } = options;
  const planned = await plan({ image: first, store, targets });
  assert.deepEqual(
    planned.map(({ Action }) => Action),
    ['publish', 'publish'],
  );
  const told: string[] = [];
  const rows: ResultRow[] = await publish({
    ...options,
    image: first,
    tags: { Pipeline: 'nightly' },
    expiresIn: 3600,
    onEvent: event => told.push(describe(event)),
  });
  assert.ok(rows.every(row => row.Error === undefined && !row.AlreadyPublished && row.BlocksSent > 0));
  assert.equal(new Set(rows.map(({ DiskDigest }) => DiskDigest)).size, 1, 'all targets have the same disk');
  assert.equal(told[0], `run ${first}`);
  assert.ok(
    ['begin unpack', 'end capture', 'end register'].every(each => told.includes(each)),
    told.join(),
  );
  assert.deepEqual(
    told.slice(-2),
    targets.map(({ name }) => `result ${name}`),
  );
  const again = await publish({ ...options, image: first });
  assert.ok(again.every(row => row.AlreadyPublished && row.BlocksSent === 0));
  assert.ok((await plan({ image: first, store, targets })).every(({ Action }) => Action === 'none'));
  const [next] = await publish({ ...options, image: second });
  assert.ok(
    next !== undefined && next.BlocksSent < (rows[0]?.BlocksSent ?? 0),
    'a revision costs what it changed',
  );
  const images = await listImages({ targets, tags: { Pipeline: 'nightly' } });
  assert.deepEqual(
    images.map(({ AmiId }) => AmiId),
    rows.map(({ AmiId }) => AmiId),
  );
  assert.ok((await verify({ results: rows, content: true })).every(({ Verified }) => Verified));
  assert.ok((await deleteImages({ results: rows })).every(row => 'Deleted' in row && row.Deleted));
}

/** Stops a run on the way; one is taken back, the other gone on with. */
async function interrupt(options: Omit<PublishOptions, 'image'>, image: string): Promise<void> {
  for (const goOn of [false, true]) {
    const controller = new AbortController();
    const onEvent = (event: PublishEvent): void => {
      if (event.type === 'begin' && event.stage === 'disk') controller.abort();
    };
    assert.equal(
      await codeOf(publish({ ...options, image, signal: controller.signal, onEvent })),
      'CANCELLED',
    );
    const run = (await runs({ stateDirectory })).at(-1);
    assert.equal(run?.State, 'interrupted');
    if (goOn) {
      const rows = await resume(run.Run, options);
      assert.ok(rows.every(row => row.Error === undefined && row.Run === run.Run));
    } else {
      assert.ok((await rollback(run.Run, { stateDirectory })).every(row => row.Error === undefined));
    }
  }
}

/** Does what cannot be done; each fault has its code, and a target that fails leaves the others alone. */
async function fail(options: Omit<PublishOptions, 'image'>, store: Store, image: string): Promise<void> {
  const [target] = options.targets;
  assert.ok(target !== undefined);
  assert.equal(await codeOf(publish({ ...options, image: `${STREAM}/none` })), 'IMAGE_UNKNOWN');
  assert.equal(await codeOf(plan({ image: 'none', store, targets: [target] })), 'IMAGE_NAME');
  assert.equal(await codeOf(publish({ ...options, image, signal: AbortSignal.abort() })), 'CANCELLED');
  assert.equal(await codeOf(connectUnpacker(`unix:${join(work, 'none')}`)), 'TIMEOUT');
  assert.throws(
    () => parseTargets('targets:\n  - local: disks\n    fromat: raw\n', 'targets.yaml'),
    (reason: unknown) =>
      reason instanceof ImageUnpackerError &&
      reason.code === 'CONFIGURATION' &&
      reason.message === 'targets.yaml: line 3: unknown key "fromat"; did you mean "format"?',
  );
  writeFileSync(join(work, 'file'), '');
  const targets = [localTarget(join(work, 'file')), localTarget(join(work, 'third'))];
  const rows = await publish({ ...options, image, targets });
  assert.deepEqual(
    rows.map(({ ErrorCode }) => ErrorCode),
    ['CONFIGURATION', undefined],
  );
  assert.equal(readdirSync(join(work, 'third')).length, 2);
}

const images: [string, string] = [build('1'), build('2')];
const third = build('3');
const store = await openLocalStore(storeDirectory);
const targets: Target[] = [localTarget(join(work, 'raw')), localTarget(join(work, 'qcow2'), 'qcow2')];
const unpacker = await startUnpacker({ store: storeDirectory, stateDirectory });
try {
  const options = { store, targets, unpacker, stateDirectory };
  await publishRevisions(options, images);
  console.log('published two revisions');
  await interrupt(options, third);
  console.log('stopped, rolled back, stopped and resumed');
  await fail(options, store, images[1]);
  console.log('failed as it has to');
} finally {
  await unpacker.close();
  await store.close();
}
