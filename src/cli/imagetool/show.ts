import type { Entry } from '../../image/entry.js';
import type { Package } from '../../image/package-list.js';
import type { ImageRecord } from '../../store/store.js';
import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, flag } from '../option.js';
import { showCount, showCountOf, showSize, showText } from '../show.js';
import type { ShownEntry } from './shown-entry.js';

interface ShownImage extends ImageRecord {
  /** Data of files as it is stored: objects, each counted once. */
  objects: number;
  objectBytes: bigint;
  types: Partial<Record<Entry['type'], number>>;
  list?: ShownEntry[];
  /** How many packages are installed; null if no list is kept with the image, or it cannot be read. */
  packages: number | null;
  /** Why the list cannot be read. */
  packagesFault?: string;
  packageList?: readonly Package[];
}

export const showCommand = command({
  name: 'show',
  summary: 'Show what is known of an image',
  arguments: { name: argument('the image') },
  options: {
    ...storeOptions,
    list: flag('--entries', 'list its entries as well'),
    packages: flag('--packages', 'list its packages as well'),
  },
  run: async ({ options, args, signal }) => {
    const { findImage } = await import('../../store/find-image.js');
    const { tryReadPackages } = await import('../../store/packages/read-packages.js');
    const { summariseImage } = await import('./summarise-image.js');
    return withStore(options, signal, async (store): Promise<ShownImage> => {
      const record = await findImage(store, args.name);
      const { list, fault } = await tryReadPackages(store, record);
      return {
        ...record,
        ...(await summariseImage(store, record, options.list)),
        packages: list?.packages.length ?? null,
        ...(fault !== undefined && { packagesFault: fault }),
        ...(options.packages && { packageList: list?.packages ?? [] }),
      };
    });
  },
  show: showImage,
});

function showImage(image: ShownImage): string {
  const types = Object.entries(image.types).map(([type, count]) => `${showCount(count)} ${type}`);
  const lines = [
    `Name:        ${image.name}`,
    `Digest:      ${image.digest}`,
    `Created:     ${image.createdAt}`,
    `Expires:     ${image.expiresAt ?? 'never'}`,
    `Entries:     ${showCount(image.entries)} (${types.join(', ')})`,
    `Size:        ${showSize(image.bytes)}`,
    `Data:        ${showCountOf(image.objects, 'object')} of ${showSize(image.objectBytes)}`,
    ...(image.packages === null ? [] : [`Packages:    ${showCount(image.packages)}`]),
    ...(image.packagesFault === undefined ? [] : [`Packages:    ${image.packagesFault}`]),
    ...Object.entries(image.tags).map(([key, value]) => `Tag:         ${key}=${value}`),
    ...Object.entries(image.annotations).map(([key, digest]) => `Annotation:  ${key} ${digest}`),
  ].map(showText);
  return [...lines, ...(image.packageList ?? []).map(showPackage), ...(image.list ?? []).map(showEntry)].join(
    '\n',
  );
}

function showEntry(entry: ShownEntry): string {
  if (entry.type === 'link') return showText(`link ${entry.path} -> ${entry.target ?? ''}`);
  const what = [entry.type, entry.mode, `${String(entry.uid)}:${String(entry.gid)}`, entry.mtime];
  const more = [entry.size, entry.device, entry.xattrs?.map(({ name }) => name).join(',')];
  const target = entry.target === undefined ? [] : ['->', entry.target];
  return showText([...what, ...more.filter(Boolean), entry.path, ...target].join(' '));
}

function showPackage({ name, version, architecture }: Package): string {
  return showText([name, version, architecture].join(' '));
}
