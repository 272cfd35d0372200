/** An error as a service answers it. */
export class ServiceFault extends Error {
  readonly status: number;
  readonly code: string;
  /** A further code of EBS direct. */
  readonly reason: string | undefined;

  constructor(status: number, code: string, message: string, reason?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.reason = reason;
  }
}

/** What goes wrong on the way to a service or back. */
export type Trouble =
  /** The service is asked too often. */
  | 'throttled'
  /** The service fails before it does anything. */
  | 'failed'
  /** The connection is cut before the service does anything. */
  | 'cut'
  /** The service does it, and the answer is lost. */
  | 'lost';

/** Decides what goes wrong with a call; undefined for nothing. */
export type Schedule = (operation: string, place: { account: string; region: string }) => Trouble | undefined;
