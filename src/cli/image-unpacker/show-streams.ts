import type { StreamStatus, UnpackerProgress } from '../../rpc/unpacker.js';
import { showSize, showTable, showText } from '../show.js';

const COLUMNS = [
  { title: 'STREAM' },
  { title: 'STATE' },
  { title: 'IMAGE' },
  { title: 'SIZE', align: 'right' },
  { title: 'DEVICE' },
] as const;

/** A table of streams, and a line for each whose last work failed. */
export function showStreams(streams: readonly StreamStatus[]): string {
  if (streams.length === 0) return 'No streams yet';
  const rows = streams.map(({ stream, state, progress, image, size, device }) => [
    stream,
    progress === null ? state : `${state}: ${showProgress(progress)}`,
    image ?? '-',
    size === null ? '-' : showSize(size),
    device,
  ]);
  const failures = streams
    .filter(({ error }) => error !== null)
    .map(({ stream, error }) => showText(`${stream}: ${error!.message}`));
  return [showTable(COLUMNS, rows), ...failures].join('\n');
}

function showProgress({ step, done, total }: UnpackerProgress): string {
  if (total === null || total === 0) return step;
  return `${step} ${String(Math.floor((Math.min(done, total) / total) * 100))} %`;
}
