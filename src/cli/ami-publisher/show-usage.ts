import type { ImageReason } from '../../publisher/judge-images.js';
import type { UnusedImages } from '../../publisher/list-unused-images.js';
import type { UsageReport, UsedImages, UsingInstanceRow } from '../../publisher/list-used-images.js';
import type { TargetRow } from '../../publisher/row.js';
import type { ExitCode } from '../exit-code.js';
import { EXIT_CODES } from '../exit-code.js';
import { showCountOf, showSize, showTable } from '../show.js';
import { joinLines, showErrors } from './outcome.js';

/** Used images, for people: a line for each use. */
export function showUsed({ UsedImages: images, UsingInstances: instances, Errors }: UsedImages): string {
  if (images.length === 0)
    return joinLines(Errors.length === 0 ? 'No image is used' : '', showErrors(Errors));
  const table = showTable(
    ['TARGET', 'ID', 'IMAGE', 'USED BY'].map(title => ({ title })),
    images.flatMap(row =>
      row.Uses.map((use, at) => {
        const image = [row.Target, row.AmiId ?? '-', row.AmiName ?? '-'];
        return [...(at === 0 ? image : ['', '', '']), showReason(use)];
      }),
    ),
  );
  return joinLines(
    table,
    `${showCountOf(images.length, 'image is', 'images are')} used, by ${showCountOf(instances.length, 'machine')} among others`,
    showErrors(Errors),
  );
}

/** Unused images, for people, and what keeps old ones. */
export function showUnused(result: UnusedImages): string {
  const { UnusedImages: images, OldInstances: old, Errors } = result;
  const failed = images.filter(({ Error }) => Error !== undefined);
  const size = images.reduce((sum, { DiskSize = 0 }) => sum + DiskSize, 0);
  const table = showTable(
    ['TARGET', 'ID', 'IMAGE', 'CREATED', 'SIZE', ''].map(title => ({ title })),
    images.map(row => [
      row.Target,
      row.AmiId,
      row.AmiName ?? '-',
      row.CreationDate ?? '-',
      row.DiskSize === undefined ? '-' : showSize(row.DiskSize),
      row.Deleted === undefined ? 'not used' : row.Deleted ? 'deleted' : 'still there',
    ]),
  );
  return joinLines(
    images.length === 0
      ? 'No image is unused'
      : [table, `${showCountOf(images.length, 'image')}, ${showSize(size)} of disks`],
    old.length === 0 ? '' : showOld(old),
    showErrors([...failed, ...Errors]),
  );
}

function showOld(old: readonly UsingInstanceRow[]): string {
  return showTable(
    ['MACHINES OF OLD IMAGES', 'ID', 'IMAGE', 'STARTED', 'NAME'].map(title => ({ title })),
    old.map(row => [row.Target, row.InstanceId, row.AmiId, row.LaunchTime ?? '-', row.Tags['Name'] ?? '-']),
  );
}

function showReason({ Kind, Id, Detail, AccountId }: ImageReason): string {
  const words: Partial<Record<ImageReason['Kind'], string>> = {
    preferred: 'it is preferred',
    newest: 'it is the newest of its stream',
    shared: `shared with ${Id}`,
  };
  const what = words[Kind] ?? `${Kind} ${Id}`;
  const where = AccountId === undefined ? '' : ` of the account ${AccountId}`;
  return `${what}${where}${Detail === undefined ? '' : ` (${Detail})`}`;
}

/** What a program exits with that looked at targets, and then did something with images. */
export function exitCodeOfReport(
  { Targets, Errors }: UsageReport,
  rows: readonly Partial<TargetRow>[],
): ExitCode {
  const failed = rows.filter(({ Error }) => Error !== undefined).length;
  if (Errors.length + failed === 0) return EXIT_CODES.done;
  const good = rows.length > 0 ? rows.length - failed : Targets.length;
  return good === 0 ? EXIT_CODES.failed : EXIT_CODES.partlyDone;
}
