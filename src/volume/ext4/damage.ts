import { ImageUnpackerError } from '../../image/error.js';

/**
 * Hears of each thing that is wrong with a file system, with the inode that it is about if it is about
 * one. It may throw, which ends the reading, or take note and return, which goes on without that part.
 */
export type Report = (what: string, inode?: number) => void;

/** The error of a file system that contradicts itself. `details` holds `what` alone. */
export function damaged(what: string): ImageUnpackerError {
  return new ImageUnpackerError('VOLUME_DAMAGED', `The file system is damaged: ${what}`, { details: [what] });
}

/** The reporter for those who can do nothing with a damaged file system: throws `VOLUME_DAMAGED`. */
export const refuseDamage: Report = (what, inode) => {
  throw damaged(inode === undefined ? what : `inode ${String(inode)}: ${what}`);
};

/** Runs `work`; what it finds damaged goes to `report`, every other error on to the caller. */
export function reporting(report: Report, inode: number | undefined, work: () => void): void {
  try {
    work();
  } catch (error) {
    reportDamage(report, inode, error);
  }
}

/** Reports `error` if it says that something is damaged, else throws it. */
export function reportDamage(report: Report, inode: number | undefined, error: unknown): void {
  if (!(error instanceof ImageUnpackerError) || error.code !== 'VOLUME_DAMAGED') throw error;
  report(error.subject.details?.[0] ?? error.message, inode);
}
