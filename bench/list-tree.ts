import type { BigIntStats } from 'node:fs';
import { createHash } from 'node:crypto';
import { constants, createReadStream, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../src/image/error.js';
import { comparePaths, joinPath } from '../src/image/path.js';
import { runCommand } from './run-command.js';

/*
 * Reads trees as any program sees them, and compares two of them, sharing nothing with what makes and checks
 * volumes but the order of paths.
 */

/** Each field of an entry that is compared, by its name. */
type Fields = ReadonlyMap<string, string>;

/** The entries of a tree by their paths (bytes as latin1). */
export type Listing = ReadonlyMap<string, Fields>;

/** The file system's own directory, which no tree has. */
const LOST_AND_FOUND = 'lost+found';
/** Allocations that differ by less say nothing of holes: file systems keep extents in blocks, too. In 512 bytes. */
const ALLOCATION_SLACK = 128n;
/** Up to here a file is read in one piece, at once: that is several times as quick. */
const SMALL_BYTES = 1n << 20n;

/** Lists the tree at `root`, a path that ends in a slash. */
export async function listTree(root: string, signal: AbortSignal | undefined): Promise<Listing> {
  const start = Buffer.from(root);
  const attributes = await listAttributes(root, signal);
  const listing = new Map<string, Fields>();
  const links = new Map<bigint, Map<string, string>>();
  for (const path of walk(start)) {
    throwIfAborted(signal);
    const name = path.toString('latin1');
    const stats = lstatSync(Buffer.concat([start, path]), { bigint: true });
    // So that an interrupt is noticed.
    if (stats.isDirectory()) await setImmediate();
    const known = stats.isDirectory() ? undefined : links.get(stats.ino);
    const fields = new Map(known ?? (await fieldsOf(Buffer.concat([start, path]), stats)));
    if (known === undefined) {
      fields.set('links', name);
      if (stats.nlink > 1n) links.set(stats.ino, fields);
    }
    fields.set('xattrs', attributes.get(name) ?? '');
    listing.set(name, fields);
  }
  return listing;
}

/** All paths of a tree, a directory before what is in it, in the order of images. */
function* walk(root: Buffer, directory: Buffer = Buffer.alloc(0)): Generator<Buffer> {
  yield directory;
  const entries = readdirSync(Buffer.concat([root, directory]), { encoding: 'buffer', withFileTypes: true });
  const paths = entries.map(entry => ({ path: joinPath(directory, entry.name), entry }));
  for (const { path, entry } of paths.sort((a, b) => comparePaths(a.path, b.path))) {
    if (path.toString('latin1') === LOST_AND_FOUND) continue;
    if (entry.isDirectory()) yield* walk(root, path);
    else yield path;
  }
}

async function fieldsOf(path: Buffer, stats: BigIntStats): Promise<Map<string, string>> {
  const fields = new Map([
    ['type', String(stats.mode & BigInt(constants.S_IFMT))],
    ['mode', String(stats.mode & 0o7777n)],
    ['owner', `${String(stats.uid)}:${String(stats.gid)}`],
    ['mtime', String(stats.mtimeNs)],
  ]);
  if (stats.isDirectory()) return fields;
  fields.set('size', String(stats.size)).set('device', String(stats.rdev));
  if (stats.isSymbolicLink()) fields.set('target', readlinkSync(path, 'latin1'));
  if (stats.isFile())
    fields.set('content', await digestOf(path, stats.size)).set('holes', String(stats.blocks));
  return fields;
}

async function digestOf(path: Buffer, size: bigint): Promise<string> {
  const hash = createHash('sha256');
  if (size <= SMALL_BYTES) return hash.update(readFileSync(path)).digest('hex');
  for await (const bytes of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(bytes as Buffer);
  return hash.digest('hex');
}

/** The extended attributes of all that has some, as getfattr(1) dumps them. */
async function listAttributes(
  root: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, string>> {
  const words = ['getfattr', '--recursive', '--physical', '--no-dereference', '--dump', '--match=-'];
  const { output } = await runCommand([...words, '--encoding=hex', '.'], { directory: root, signal });
  const attributes = new Map<string, string>();
  for (const block of output.toString('latin1').split('\n\n')) {
    const [title, ...lines] = block.split('\n');
    if (title?.startsWith('# file: ') !== true) continue;
    attributes.set(unescape(title.slice('# file: '.length)).replace(/^\.?\/?/, ''), lines.sort().join('\n'));
  }
  return attributes;
}

/** What getfattr writes as a backslash and three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/** In what and how often `got` differs from `want`: `exact`, or `2 missing, 23 links`. */
export function compareListings(want: Listing, got: Listing): string {
  const counts = new Map<string, number>();
  const count = (what: string): unknown => counts.set(what, (counts.get(what) ?? 0) + 1);
  for (const path of got.keys()) if (!want.has(path)) count('more');
  for (const [path, wanted] of want) {
    const found = got.get(path);
    if (found === undefined) count('missing');
    else for (const what of differencesOf(wanted, found)) count(what);
  }
  if (counts.size === 0) return 'exact';
  return [...counts].map(([what, number]) => `${String(number)} ${what}`).join(', ');
}

function differencesOf(want: Fields, got: Fields): string[] {
  if (want.get('type') !== got.get('type')) return ['type'];
  return [...want.keys()].filter(what =>
    what === 'holes' ? !isNear(want.get(what)!, got.get(what)!) : want.get(what) !== got.get(what),
  );
}

function isNear(a: string, b: string): boolean {
  const difference = BigInt(a) - BigInt(b);
  return difference <= ALLOCATION_SLACK && -difference <= ALLOCATION_SLACK;
}
