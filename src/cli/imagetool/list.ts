import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { optionalArgument } from '../option.js';
import { showCount, showSize, showTable } from '../show.js';
import type { ImageRow } from './image-row.js';
import { toRow } from './image-row.js';

export const listCommand = command({
  name: 'list',
  summary: 'List the images of a store, oldest first',
  arguments: { stream: optionalArgument('only the images of this stream, not of streams below it') },
  options: storeOptions,
  run: async ({ options, args, signal }) =>
    withStore(options, signal, async store => (await store.list(args.stream)).map(toRow)),
  show: showRows,
});

function showRows(rows: readonly ImageRow[]): string {
  if (rows.length === 0) return 'There are no images';
  return showTable(
    [
      { title: 'NAME' },
      { title: 'CREATED' },
      { title: 'EXPIRES' },
      { title: 'ENTRIES', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'DIGEST' },
    ],
    rows.map(({ name, createdAt, expiresAt, entries, bytes, digest }) => [
      name,
      createdAt,
      expiresAt ?? 'never',
      showCount(entries),
      showSize(bytes),
      digest.slice(0, 12),
    ]),
  );
}
