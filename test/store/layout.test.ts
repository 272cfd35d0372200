import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { isWithin } from '../../src/store/local/is-within.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { decodeRecord } from '../../src/store/record.js';
import { golden } from '../golden.js';
import { temporaryDirectory } from '../temporary-directory.js';

const record = decodeRecord(golden('record'), 'golden');
const recordFile = 'images/base/debian-12/@2026-11-23T06:00';
const hello = sha512(Buffer.from('hello'));
const helloFile = `objects/sha512/${hello.toString('hex').slice(0, 2)}/${hello.toString('hex')}`;

/** A store with one object and one image. */
async function makeStore(location: string): Promise<void> {
  const store = await openLocalStore(location, { create: true });
  await store.put(Buffer.from('hello'));
  await store.create(record);
  await store.close();
}

test('files lie where the layout says, objects read-only, and nothing else is left', async t => {
  const location = join(temporaryDirectory(t), 'some', 'store');
  await makeStore(location);
  t.is(readFileSync(join(location, 'format'), 'utf8'), 'image-unpacker store 1\n');
  t.is(statSync(join(location, helloFile)).mode & 0o7777, 0o444);
  t.deepEqual(readFileSync(join(location, recordFile)), golden('record'));
  t.deepEqual(readdirSync(location).sort(), ['format', 'images', 'leases', 'lock', 'objects', 'tmp']);
  t.is(readdirSync(join(location, 'objects/sha512')).length, 256);
  t.deepEqual(readdirSync(join(location, 'tmp')), []);
});

test('a stream that has no image left has no directory', async t => {
  const location = temporaryDirectory(t);
  await makeStore(location);
  const store = await openLocalStore(location);
  await store.remove(record.name);
  await store.close();
  t.deepEqual(readdirSync(join(location, 'images')), []);
});

test('there is no store where none was made', async t => {
  const location = join(temporaryDirectory(t), 'store');
  await t.throwsAsync(openLocalStore(location), { code: 'STORE_MISSING', message: /imagetool build/ });
  t.false(existsSync(location));
});

test('a directory that holds something else is never written into', async t => {
  const location = temporaryDirectory(t);
  writeFileSync(join(location, 'thesis'), '');
  for (const create of [true, false]) {
    await t.throwsAsync(openLocalStore(location, { create }), {
      code: 'STORE_MISSING',
      message: /is not a store/,
    });
  }
  t.deepEqual(readdirSync(location), ['thesis']);
  await t.throwsAsync(openLocalStore(join(location, 'thesis'), { create: true }), { code: 'STORE_MISSING' });
});

test('a store of another version is left alone', async t => {
  const location = temporaryDirectory(t);
  writeFileSync(join(location, 'format'), 'image-unpacker store 2\n');
  await t.throwsAsync(openLocalStore(location, { create: true }), {
    code: 'UNSUPPORTED',
    message: /version/,
  });
  t.deepEqual(readdirSync(location), ['format']);
});

test('the root of a new file system can become a store', async t => {
  const location = temporaryDirectory(t);
  mkdirSync(join(location, 'lost+found'));
  await t.notThrowsAsync(makeStore(location));
});

test('a store whose making was cut short is finished', async t => {
  const line = 'image-unpacker store 1\n';
  for (let length = 0; length <= line.length; length++) {
    const location = temporaryDirectory(t);
    writeFileSync(join(location, 'format'), line.slice(0, length));
    await t.throwsAsync(openLocalStore(location), { code: 'STORE_MISSING' });
    await t.notThrowsAsync(makeStore(location));
  }
  const location = temporaryDirectory(t);
  await makeStore(location);
  for (const part of ['lock', 'tmp', 'objects/sha512/77']) rmSync(join(location, part), { recursive: true });
  await t.throwsAsync(openLocalStore(location), { code: 'STORE_MISSING' });
  await openLocalStore(location, { create: true });
  t.true(existsSync(join(location, 'objects/sha512/77')));
  t.true(existsSync(join(location, 'lock')));
});

test('any change of a record is found, and the file is named', async t => {
  const location = temporaryDirectory(t);
  await makeStore(location);
  const store = await openLocalStore(location);
  const fault = { code: 'STORE_DAMAGED', message: /images\/base\/debian-12\/@2026-11-23T06:00/ };
  const text = readFileSync(join(location, recordFile));
  for (let at = 0; at < text.length; at += 7) {
    const changed = Buffer.from(text);
    changed[at]! ^= 1;
    writeFileSync(join(location, recordFile), changed);
    await t.throwsAsync(store.image(record.name), fault);
    writeFileSync(join(location, recordFile), text.subarray(0, at));
    await t.throwsAsync(store.list(), fault);
  }
});

test('a record in the place of another image is refused', async t => {
  const location = temporaryDirectory(t);
  await makeStore(location);
  linkSync(join(location, recordFile), join(location, 'images/base/debian-12/@other'));
  const store = await openLocalStore(location);
  await t.throwsAsync(store.image('base/debian-12/other'), { code: 'STORE_DAMAGED', message: /@other/ });
});

test('what does not belong among the images is named', async t => {
  const location = temporaryDirectory(t);
  await makeStore(location);
  const store = await openLocalStore(location);
  for (const name of ['stray', '@.x', '@']) {
    writeFileSync(join(location, 'images/base', name), '');
    await t.throwsAsync(store.list(), { code: 'STORE_DAMAGED', message: new RegExp(`base/${name}`) });
    rmSync(join(location, 'images/base', name));
  }
  mkdirSync(join(location, 'images/base/@directory'));
  await t.throwsAsync(store.list(), { code: 'STORE_DAMAGED', message: /@directory/ });
});

test('symbolic links are not followed', async t => {
  const location = temporaryDirectory(t);
  await makeStore(location);
  for (const file of [helloFile, recordFile]) {
    renameSync(join(location, file), join(location, 'elsewhere'));
    symlinkSync(join(location, 'elsewhere'), join(location, file));
    const store = await openLocalStore(location);
    const fault = { code: 'STORE_DAMAGED' };
    await t.throwsAsync(file === helloFile ? store.read(hello, 10) : store.image(record.name), fault);
    await store.close();
    renameSync(join(location, 'elsewhere'), join(location, file));
  }
});

test('a store in a tree is found whatever it is called', async t => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'tree/a'), { recursive: true });
  symlinkSync('tree', join(directory, 'link'));
  symlinkSync(join(directory, 'tree/a'), join(directory, 'far'));
  const tree = join(directory, 'tree');
  t.true(await isWithin(tree, tree));
  t.true(await isWithin(join(tree, 'a'), tree));
  t.true(await isWithin(join(tree, 'not/there/yet'), tree));
  t.true(await isWithin(join(directory, 'link/a'), tree));
  t.true(await isWithin(join(directory, 'far/x'), tree));
  t.true(await isWithin(tree, join(directory, 'link')));
  t.false(await isWithin(join(directory, 'treeless'), tree));
  t.false(await isWithin(directory, tree));
});
