import { relative } from 'node:path';
import { placesOf } from './publish-revisions.mjs';

const SNAPSHOT_BLOCK_BYTES = 512 << 10;

/** What a person wants to know of the two revisions, and what to try next. */
export async function showReport(request, { first, second, changes }) {
  const show = await import('../../dist/cli/show.js');
  const both = [first, second];
  const row = (what, value) => [what, ...both.map(value)];
  const stages = [...new Set(both.flatMap(({ rows }) => Object.keys(rows[0].Stages)))];
  const table = show.showTable(
    [
      { title: '' },
      { title: 'First revision', align: 'right' },
      { title: 'Second revision', align: 'right' },
    ],
    [
      row('Content', ({ image }) => show.showSize(image.bytes)),
      row('New content', ({ image }) => show.showSize(image.newBytes)),
      row('512 KiB blocks written to the volume', ({ rows }) => blocks(show, rows[0], 'BlocksWritten')),
      row('512 KiB blocks written to the disk', ({ rows }) => blocks(show, rows[0], 'BlocksSent')),
      row('Building the image', ({ image }) => show.showDuration(image.seconds)),
      ...stages.map(stage => row(`Publishing: ${stage}`, ({ rows }) => seconds(show, rows[0].Stages[stage]))),
    ],
  );
  const disks = both.map(
    ({ image, rows: [{ Path, DiskDigest }] }) => `${image.name}\n  disk    ${Path}\n  digest  ${DiskDigest}`,
  );
  return [
    `\nWhat is new in the second revision\n${changes.map(change => `  ${change}`).join('\n')}`,
    table,
    `The disk gets, besides what was written to the volume, zeros where something was freed.`,
    `Published\n\n${disks.join('\n')}`,
    `What to try next\n\n${nextSteps(request, both)
      .map(([what, line]) => `  # ${what}\n  ${line}`)
      .join('\n')}`,
  ].join('\n\n');
}

/** How many blocks of how many; the kernel does not tell everywhere how many were written, nor of what is published already. */
function blocks(show, row, key) {
  if (row[key] === undefined) return '-';
  return `${show.showCount(row[key])} of ${show.showCount(Math.ceil(row.DiskSize / SNAPSHOT_BLOCK_BYTES))}`;
}

function seconds(show, value) {
  return value === undefined ? '-' : show.showDuration(value);
}

/** What a newcomer may want to do now, each with a line that can be run as it is. */
function nextSteps({ kept, stream }, [first, second]) {
  const { store, state, targets, results } = placesOf(kept);
  const [from, to] = [first.image.name, second.image.name];
  const publish = `./bin/ami-publisher publish ${stream} ${second.leaf} --targets ${quote(targets)}`;
  return [
    ['what differs between the two', `./bin/imagetool diff ${from} ${to} --store ${quote(store)}`],
    ['all that is published', `./bin/ami-publisher list-images --targets ${quote(targets)}`],
    [
      'read the disks and compare them with their digests',
      `./bin/ami-publisher verify --content --targets ${quote(targets)} ${quote(results)}`,
    ],
    [
      'publish once more: there is nothing to do, and nothing is done',
      `${publish} --store ${quote(store)} --state-dir ${quote(state)}`,
    ],
    ['your own content: a directory or a tar file', 'npm run quickstart -- /path/to/a/root/file/system'],
  ];
}

/** A path as a shell takes it. */
function quote(path) {
  const shown = relative('', path).startsWith('..') ? path : relative('', path);
  return /^[\w./:@%+-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
}
