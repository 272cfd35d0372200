import test from 'ava';
import fc from 'fast-check';
import { plainLayer } from './plain-layer.js';
import type { Piece } from './layout.js';
import { MemorySink, treeOptions } from '../memory-sink.js';
import { readLayers } from '../../../src/source/oci/read-layers.js';

/*
 * Random layers against a model: whole trees as maps of paths, each layer on a copy of the one before.
 */

type Node =
  { type: 'directory' } | { type: 'symlink'; target: string } | { type: 'file'; data: string; inode: number };
type Model = Map<string, Node>;

class Refused extends Error {}

const parentOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('/'), 0));
const isBelow = (path: string, directory: string): boolean =>
  directory === '' || path.startsWith(`${directory}/`);

function ancestors(path: string): string[] {
  const all: string[] = [];
  for (let at = parentOf(path); at !== ''; at = parentOf(at)) all.unshift(at);
  return all;
}

/** The tree when a layer lies on it. What the layer has itself is `own`; what it hides is taken from `lower` at its end. */
function applyLayer(lower: Model, layer: readonly Piece[], counter: { next: number }): Model {
  const own: Model = new Map();
  const below = new Map(lower);
  const drop = (path: string, isWhole: boolean): void => {
    for (const each of [...below.keys()])
      if ((isWhole && each === path) || isBelow(each, path)) below.delete(each);
  };
  const at = (path: string): Node | undefined => own.get(path) ?? below.get(path);
  // What the layer has in a directory that is hidden stands in one that nothing is known of.
  const keepWays = (): void => {
    for (const each of own.keys())
      for (const up of ancestors(each)) if (at(up) === undefined) own.set(up, { type: 'directory' });
  };
  for (const piece of layer) {
    const path = piece.path.replace(/\/$/, '');
    const name = path.slice(path.lastIndexOf('/') + 1);
    const isWhiteout = name.startsWith('.wh.');
    for (const ancestor of ancestors(path)) {
      const node = at(ancestor);
      if (node !== undefined && node.type !== 'directory') throw new Refused();
      if (node === undefined && isWhiteout) break;
      if (node === undefined) own.set(ancestor, { type: 'directory' });
    }
    if (name === '.wh..wh..opq') {
      const node = at(parentOf(path));
      if (node !== undefined && node.type !== 'directory') throw new Refused();
      drop(parentOf(path), false);
      keepWays();
      continue;
    }
    if (isWhiteout) {
      const hidden = [parentOf(path), name.slice(4)].filter(Boolean).join('/');
      drop(hidden, true);
      keepWays();
      continue;
    }
    const node = ((): Node => {
      if (piece.type === 'directory') return { type: 'directory' };
      if (piece.type === 'symlink') return { type: 'symlink', target: piece.target! };
      if (piece.type !== 'link') return { type: 'file', data: piece.data ?? '', inode: counter.next++ };
      const target = at(piece.target!);
      if (target === undefined || target.type === 'directory') throw new Refused();
      return target;
    })();
    const before = at(path);
    if (before?.type === 'directory' && node.type !== 'directory') {
      if ([...own.keys()].some(each => isBelow(each, path))) throw new Refused();
      // One that the layer made itself is empty, or else it has what is below.
      if (own.has(path) && [...below.keys()].some(each => isBelow(each, path))) throw new Refused();
      drop(path, true);
    }
    own.set(path, node);
  }
  return new Map([...below, ...own]);
}

const name = fc.constantFrom('a', 'b', 'c');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map(parts => parts.join('/'));
const piece: fc.Arbitrary<Piece> = fc.oneof(
  path.map(each => ({ path: `${each}/`, type: 'directory' as const })),
  fc.record({ path, data: fc.constantFrom('', 'x', 'yy', 'zzz') }),
  fc.record({ path, type: fc.constant('link' as const), target: path }),
  fc.record({ path, type: fc.constant('symlink' as const), target: path }),
  path.map(each => ({
    path: [parentOf(each), `.wh.${each.slice(each.lastIndexOf('/') + 1)}`].filter(Boolean).join('/'),
  })),
  path.map(each => ({ path: [parentOf(each), '.wh..wh..opq'].filter(Boolean).join('/') })),
);
const layers = fc.array(fc.array(piece, { maxLength: 8 }), { minLength: 1, maxLength: 4 });

function modelled(all: readonly (readonly Piece[])[]): string[] | 'refused' {
  let model: Model = new Map();
  const counter = { next: 0 };
  try {
    for (const layer of all) model = applyLayer(model, layer, counter);
  } catch (reason) {
    if (reason instanceof Refused) return 'refused';
    throw reason;
  }
  if (model.size === 0) return 'refused';
  const first = new Map<Node, string>();
  return [...model]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([at, node]) => {
      const known = first.get(node);
      if (node.type === 'directory') return `${at}/`;
      if (known !== undefined) return `${at} = ${known}`;
      first.set(node, at);
      return node.type === 'symlink' ? `${at} -> ${node.target}` : `${at}: ${node.data}`;
    });
}

async function merged(
  all: readonly (readonly Piece[])[],
): Promise<{ shape: string[] | 'refused'; stored: number }> {
  const sink = new MemorySink();
  try {
    const tree = await readLayers({ location: 'test', layers: all.map(plainLayer) }, sink, treeOptions());
    const shape = [...tree.entries()].slice(1).map(entry => {
      const at = String(entry.path);
      if (entry.type === 'link') return `${at} = ${String(entry.target)}`;
      if (entry.type === 'symlink') return `${at} -> ${String(entry.target)}`;
      if (entry.type !== 'file') return `${at}/`;
      return `${at}: ${entry.digest === null ? '' : String(sink.objects.get(entry.digest.toString('hex')))}`;
    });
    return { shape, stored: sink.objects.size };
  } catch (reason) {
    if (/^SOURCE_(UNSUPPORTED|EMPTY)$/.test(String((reason as { code?: string }).code)))
      return { shape: 'refused', stored: 0 };
    throw reason;
  }
}

test('random layers make the tree that a model of them makes, and store no more than it has', async t => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(layers, async all => {
      const expected = modelled(all);
      const { shape, stored } = await merged(all);
      if (JSON.stringify(shape) !== JSON.stringify(expected))
        throw new Error(`${JSON.stringify(shape)} is not ${JSON.stringify(expected)}`);
      if (expected === 'refused') return;
      accepted++;
      const data = new Set(expected.filter(each => /: ./.test(each)).map(each => each.replace(/^.*: /, '')));
      if (stored !== data.size) throw new Error(`${String(stored)} objects`);
    }),
    { numRuns: 2000 },
  );
  t.true(accepted > 200, String(accepted));
});
