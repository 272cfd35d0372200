/*
 * What reached the disks, in order, as log-disk.c writes it (the grammar stands there).
 */

const HEAD_BYTES = 24;

/** Something that changes what is on a disk. */
export type DiskChange =
  | { kind: 'write'; disk: number; offset: number; bytes: Buffer }
  | { kind: 'zero'; disk: number; offset: number; length: number };

/** An event of the log. */
export type DiskEvent = DiskChange | { kind: 'flush'; disk: number } | { kind: 'mark'; text: string };

/** Decodes a log. What was written is not copied. */
export function decodeLog(log: Buffer): DiskEvent[] {
  const events: DiskEvent[] = [];
  for (let at = 0; at < log.length;) {
    const kind = log.readUInt32LE(at);
    const disk = log.readUInt32LE(at + 4);
    const offset = Number(log.readBigUInt64LE(at + 8));
    const length = Number(log.readBigUInt64LE(at + 16));
    at += HEAD_BYTES;
    const data = log.subarray(at, at + length);
    switch (kind) {
      case 1:
        events.push({ kind: 'write', disk, offset, bytes: data });
        at += length;
        break;
      case 2:
        events.push({ kind: 'flush', disk });
        break;
      case 3:
        events.push({ kind: 'zero', disk, offset, length });
        break;
      case 4:
        events.push({ kind: 'mark', text: data.toString() });
        at += length;
        break;
      default:
        throw new Error(`The log is damaged at ${String(at - HEAD_BYTES)}`);
    }
  }
  return events;
}
