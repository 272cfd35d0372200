import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/image/entry.js';
import { TreeValidator } from '../../src/image/validate.js';
import { entriesOf, treePlan } from '../model/tree.js';
import { goldenTree } from './golden-tree.js';
import { manifestWriter } from '../model/manifest-writer.js';

function validate(entries: readonly Entry[]): void {
  const [writer, validator] = [manifestWriter(), new TreeValidator()];
  for (const entry of entries) {
    writer.add(entry);
    validator.add(entry);
  }
  validator.finish(writer.finish().index.index);
}

const invalid = { code: 'IMAGE_INVALID' };
const at = (path: string): Entry => goldenTree.find(entry => entry.path.toString('latin1') === path)!;
const without = (path: string): Entry[] => goldenTree.filter(entry => entry !== at(path));
const withChanged = (path: string, change: object): Entry[] =>
  goldenTree.map(entry => (entry === at(path) ? { ...entry, ...change } : entry));

test('trees are trees', t => {
  t.notThrows(() => validate(goldenTree));
  fc.assert(fc.property(treePlan, plan => t.notThrows(() => validate(entriesOf(plan)))));
});

test('refused: an entry whose directory is missing', t => {
  t.throws(() => validate(without('bin')), { ...invalid, message: /bin\/first is not in a directory/ });
  t.throws(() => validate(without('')), { ...invalid, message: /is not in a directory/ });
});

test('refused: an entry below something that is no directory', t => {
  const entry = { ...at('empty'), path: Buffer.from('disk/x') } as Entry;
  const entries = goldenTree.flatMap(each => (each === at('disk') ? [each, entry] : [each]));
  t.throws(() => validate(entries), { ...invalid, message: /disk\/x is not in a directory/ });
});

test('refused: a root that is no directory', t => {
  t.throws(() => validate([{ ...at('empty'), path: Buffer.alloc(0) }]), {
    ...invalid,
    message: /not a directory/,
  });
});

test('refused: names that one side only knows', t => {
  t.throws(() => validate(without('bin-third')), {
    ...invalid,
    message: /further name \/bin-third, which is not there/,
  });
  t.throws(() => validate(withChanged('bin/first', { names: [Buffer.from('bin-third')] })), {
    ...invalid,
    message: /bin\/second is a hard link to \/bin\/first, which does not have it/,
  });
  t.throws(() => validate(withChanged('bin-third', { target: Buffer.from('bin/second') })), {
    ...invalid,
    message: /bin-third is a hard link/,
  });
  t.throws(
    () =>
      validate(
        withChanged('bin/first', {
          names: [Buffer.from('bin/second'), Buffer.from('bin-third'), Buffer.from('empty')],
        }),
      ),
    {
      ...invalid,
      message: /empty is announced/,
    },
  );
});

test('refused: data without a digest', t => {
  t.throws(() => validate(withChanged('sparse', { digest: null })), {
    ...invalid,
    message: /data but no digest/,
  });
});

test('refused: an index that counts otherwise', t => {
  const writer = manifestWriter();
  for (const entry of goldenTree) writer.add(entry);
  const { index } = writer.finish().index;
  for (const wrong of [{ entries: index.entries + 1 }, { bytes: 0n }, { blocks: 0n }]) {
    const validator = new TreeValidator();
    for (const entry of goldenTree) validator.add(entry);
    t.throws(() => validator.finish({ ...index, ...wrong }), { ...invalid, message: /count/ });
  }
});

test('refused: a name that two inodes have', t => {
  const other = {
    ...at('bin/first'),
    path: Buffer.from('bin/five'),
    names: [Buffer.from('bin-third')],
  } as Entry;
  const entries = goldenTree.flatMap(entry => (entry === at('bin/first') ? [entry, other] : [entry]));
  t.throws(() => validate(entries), {
    ...invalid,
    message: /bin\/five has a further name that \/bin\/first has as well/,
  });
});
