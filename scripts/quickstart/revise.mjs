import { createCipheriv, createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** What an ordinary package has, more or less. */
const PACKAGE_BYTES = 4 << 20;
const MODULES = 40;
const MODULE_BYTES = 12 << 10;
const DATA_BYTES = 4 << 20;
const NO_FOLLOW = constants.O_NOFOLLOW;

/**
 * Changes a tree as a new release would: settings in /etc are edited, an application comes, a package is
 * upgraded, some documentation goes. `release` goes into all that is new, so that each release is another one.
 * No link of the tree is followed. Returns what was done, a line each.
 */
export function revise(tree, release) {
  const done = [editSettings(tree, release), addApplication(tree, release)];
  const upgraded = upgradePackage(tree, release);
  if (upgraded !== undefined) done.push(upgraded);
  const removed = removeDocumentation(tree);
  if (removed !== undefined) done.push(removed);
  return done;
}

function editSettings(tree, release) {
  makeDirectory(tree, 'etc');
  writeNew(tree, 'etc/release-of-quickstart', `${release}\n`);
  const edited = ['etc/hosts', 'etc/motd', 'etc/profile'].filter(path =>
    append(tree, path, `# release ${release}\n`),
  );
  return `settings: /etc/release-of-quickstart${edited.map(path => `, /${path}`).join('')}`;
}

function addApplication(tree, release) {
  const home = `opt/example-${release}`;
  for (const path of ['opt', home, `${home}/bin`, `${home}/lib`, `${home}/share`]) makeDirectory(tree, path);
  writeNew(tree, `${home}/bin/example`, `#!/bin/sh\necho "example ${release}"\n`, 0o755);
  for (let number = 0; number < MODULES; number++) {
    const path = `${home}/lib/module-${number}`;
    writeNew(tree, path, noise(`${release} ${path}`, MODULE_BYTES).toString('base64'));
  }
  writeNew(tree, `${home}/share/data`, noise(release, DATA_BYTES));
  return `an application: /${home}, ${MODULES + 2} files`;
}

/** Every plain file of a package has something new at its end, which programs do not mind. */
function upgradePackage(tree, release) {
  const { name, files } = packageOf(tree);
  const changed = files.filter(path => append(tree, path, `\n# release ${release}\n`));
  return changed.length === 0 ? undefined : `an upgrade: ${name}, ${changed.length} files`;
}

function removeDocumentation(tree) {
  const parent = 'usr/share/doc';
  if (!isDirectory(tree, parent)) return undefined;
  const name = readdirSync(join(tree, parent))
    .sort()
    .find(each => isDirectory(tree, `${parent}/${each}`));
  if (name === undefined) return undefined;
  rmSync(join(tree, parent, name), { recursive: true });
  return `removed: /${parent}/${name}`;
}

/** The installed package whose size is nearest to an ordinary one; without packages, as many other files. */
function packageOf(tree) {
  const lists = 'var/lib/dpkg/info';
  const names = isDirectory(tree, lists)
    ? readdirSync(join(tree, lists)).filter(
        name => name.endsWith('.list') && isFile(tree, `${lists}/${name}`),
      )
    : [];
  let nearest = { name: 'a part of the content', files: [], distance: Infinity };
  for (const name of names.sort()) {
    const paths = readFileSync(join(tree, lists, name), 'utf8')
      .split('\n')
      .map(path => path.slice(1));
    const files = paths.filter(path => isFile(tree, path));
    const size = files.reduce((sum, path) => sum + lstatSync(join(tree, path)).size, 0);
    const distance = Math.abs(size - PACKAGE_BYTES);
    if (distance < nearest.distance) nearest = { name: name.slice(0, -'.list'.length), files, distance };
  }
  return nearest.files.length > 0 ? nearest : { ...nearest, files: someFiles(tree) };
}

/** Files in the order of the tree, up to the size of a package or a tenth of all. */
function someFiles(tree) {
  const all = [...filesBelow(tree, '')].filter(path => !path.startsWith('opt/') && isFile(tree, path));
  const sizes = all.map(path => lstatSync(join(tree, path)).size);
  let left = Math.min(PACKAGE_BYTES, sizes.reduce((sum, size) => sum + size, 0) / 10);
  return all.filter((_, at) => left > 0 && (left -= sizes[at]) > -PACKAGE_BYTES);
}

function* filesBelow(tree, directory) {
  for (const entry of readdirSync(join(tree, directory), { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(tree, path);
    else if (entry.isFile()) yield path;
  }
}

/** Adds to the end of a file, if it is a plain one that may be changed. Returns whether it was. */
function append(tree, path, text) {
  // Writing would make a program that is setuid an ordinary one.
  if (!isFile(tree, path) || (lstatSync(join(tree, path)).mode & 0o6000) !== 0) return false;
  const file = openToAppend(join(tree, path));
  if (file === undefined) return false;
  try {
    writeSync(file, text);
    return true;
  } finally {
    closeSync(file);
  }
}

/** Opens a file, unless it is immutable. */
function openToAppend(path) {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_APPEND | NO_FOLLOW);
  } catch (reason) {
    if (reason.code === 'EPERM') return undefined;
    throw reason;
  }
}

/** Makes a file in place of whatever there is. */
function writeNew(tree, path, content, mode = 0o644) {
  rmSync(join(tree, path), { recursive: true, force: true });
  const file = openSync(
    join(tree, path),
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW,
  );
  try {
    writeSync(file, content);
    fchmodSync(file, mode);
  } finally {
    closeSync(file);
  }
}

/** Makes a directory in place of whatever else there is. */
function makeDirectory(tree, path) {
  if (isDirectory(tree, path)) return;
  rmSync(join(tree, path), { force: true });
  mkdirSync(join(tree, path), { mode: 0o755 });
}

const isFile = (tree, path) => typeOf(tree, path)?.isFile() === true;
const isDirectory = (tree, path) => typeOf(tree, path)?.isDirectory() === true;

/** What is at `path`, unless a link, or nothing, is on the way. */
function typeOf(tree, path) {
  const parts = path.split('/');
  if (path === '' || parts.includes('..')) return undefined;
  let at = tree;
  for (const part of parts.slice(0, -1)) {
    at = join(at, part);
    if (lstatSync(at, { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  }
  return lstatSync(join(tree, path), { throwIfNoEntry: false });
}

/** Bytes that do not compress and are the same for the same seed. */
function noise(seed, length) {
  const digest = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-128-ctr', digest.subarray(0, 16), digest.subarray(16));
  return cipher.update(Buffer.alloc(length));
}
