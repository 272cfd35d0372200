/** Milliseconds that calls of AWS take, besides what the simulator does. */
export const LATENCIES: Readonly<Record<string, number>> = {
  PutSnapshotBlock: 50,
  StartSnapshot: 300,
  CompleteSnapshot: 200,
  RegisterImage: 500,
  ModifyImageAttribute: 300,
};
/** Those of the others. */
export const OTHERWISE = 100;
