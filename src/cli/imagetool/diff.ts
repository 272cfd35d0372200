import type { PackageChanges } from '../../image/package-list.js';
import type { ComparedImages } from '../../store/diff-images.js';
import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument } from '../option.js';
import { showCount, showSize, showText } from '../show.js';

export const diffCommand = command({
  name: 'diff',
  summary: 'Compare two images',
  details:
    'Lists what A has not (+), what B has not (-), and in what the other entries differ. A hard link is told of at the first name of its file. Then the packages that are not the same.',
  arguments: { from: argument('the image A'), to: argument('the image B') },
  options: storeOptions,
  run: async ({ options, args, signal }) => {
    const { findImage } = await import('../../store/find-image.js');
    const { diffImages } = await import('../../store/diff-images.js');
    return withStore(options, signal, async store => {
      const [from, to] = [await findImage(store, args.from), await findImage(store, args.to)];
      return diffImages(store, from, to, { signal });
    });
  },
  show: showDifference,
});

/** What differs at a path, or that it is there on one side only. */
interface Difference {
  path: string;
  sign?: '+' | '-';
  what?: readonly string[];
}

function* showDifference(shown: ComparedImages): Generator<string, void, undefined> {
  const { added, removed, changed, newBytes, packages, packagesFault } = shown;
  const differences: Difference[] = changed.slice();
  for (const path of added) differences.push({ path, sign: '+' });
  for (const path of removed) differences.push({ path, sign: '-' });
  differences.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  for (const { path, sign, what } of differences) {
    yield what === undefined
      ? `${sign!} ${showText(path)}`
      : `  ${showText(path)}: ${showText(what.join(', '))}`;
  }
  yield* showPackages(packages);
  if (packagesFault !== undefined) yield showText(packagesFault);
  const counts = `${showCount(added.length)} added, ${showCount(removed.length)} removed, ${showCount(changed.length)} changed`;
  yield `${counts}, ${showSize(newBytes)} of new data`;
}

function showPackages(packages: PackageChanges | null): string[] {
  if (packages === null) return [];
  return [
    ...packages.added.map(({ name, version }) => `+ package ${name} ${version}`),
    ...packages.removed.map(({ name, version }) => `- package ${name} ${version}`),
    ...packages.changed.map(({ name, from, to }) => `  package ${name}: ${from} -> ${to}`),
  ].map(showText);
}
