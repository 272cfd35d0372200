/** What a step counts. A step that counts nothing shows only how long it has taken. */
export type ProgressUnit = 'bytes' | 'entries' | 'files';

/** One step of the work, from `ProgressSink.step` to `end`. */
export interface Step {
  /** Says how much is done since the step began. Cheap: call it as often as is convenient. */
  update(done: number): void;
  /** Ends the step, whether or not it succeeded; calls after the first do nothing. */
  end(): void;
}

/**
 * To whom the work tells how far it is. Steps may overlap and nest; each is ended by who began it, in a
 * `finally`. Nothing here throws.
 */
export interface ProgressSink {
  /** Begins a step. `what` reads as "Fetching objects"; `total` is left out when it is not known. */
  step(what: string, unit?: ProgressUnit, total?: number): Step;
}

const silentStep: Step = { update: () => undefined, end: () => undefined };

/** For callers that do not want to know. */
export const silentProgress: ProgressSink = { step: () => silentStep };
