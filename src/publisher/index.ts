/*
 * Publishing as a module: `import { publish, plan } from 'image-unpacker/publisher'`.
 *
 *   1. `plan` looks at every target and says what would be done.
 *   2. `publish` has the image unpacked once, captures its disk, and gives each target what it has not.
 *   3. Each change is written to the journal of the run before it is made, so that `resume` and `rollback`
 *      find what a run that was interrupted has left.
 *
 * Nothing here is global, writes to the console or ends the process. Errors are `ImageUnpackerError` with a
 * stable `code`.
 */
export type { CloudTarget, DiskBoot, PreflightCheck, PublishedImage, Tags } from '../cloud/cloud.js';
export { ERROR_CODES, ImageUnpackerError } from '../image/error.js';
export type { ErrorCode, ErrorSubject } from '../image/error.js';
export { connectUnpacker } from '../rpc/unpacker-client.js';
export type { ConnectOptions } from '../rpc/unpacker-client.js';
export type {
  CallOptions,
  DeviceStatus,
  DiskCapture,
  StreamStatus,
  Unpacker,
  UnpackerProgress,
  UnpackerStatus,
  UnpackRequest,
  UnpackResult,
} from '../rpc/unpacker.js';
export { openLocalStore } from '../store/local/store.js';
export type { Store } from '../store/store.js';
export { deleteImages } from './delete-images.js';
export type { DeletedRow } from './delete-images.js';
export { deleteTags } from './delete-tags.js';
export type { TagDeletedRow } from './delete-tags.js';
export { deleteUnusedImages } from './delete-unused-images.js';
export type { PublishEvent, StageName } from './event.js';
export { expandRegions, expandTargetSyntax, findAccounts } from './expand-targets.js';
export type { Accounts } from './expand-targets.js';
export { expire } from './expire.js';
export type { ExpiredRow } from './expire.js';
export type { UsageOptions } from './find-usage.js';
export type { ImageReason } from './judge-images.js';
export { listImages } from './list-images.js';
export type { PublishedRow } from './list-images.js';
export { listStreams } from './list-streams.js';
export type { StreamList } from './list-streams.js';
export { listUnusedImages } from './list-unused-images.js';
export type { UnusedImageRow, UnusedImages } from './list-unused-images.js';
export { listUsedImages } from './list-used-images.js';
export type { UsedImageRow, UsedImages, UsingInstanceRow } from './list-used-images.js';
export type { ImageRow, ResultsOptions } from './named-images.js';
export type { OpenTarget } from './open-target.js';
export type {
  PublishOptions,
  RunOptions,
  TargetsOptions,
  UnpackersOptions,
  UnpackOptions,
} from './options.js';
export { plan } from './plan.js';
export type { PlanOptions, PlanRow } from './plan.js';
export { planResume } from './plan-resume.js';
export { promote } from './promote.js';
export type { PromotedRow, PromoteOptions } from './promote.js';
export { publish } from './publish.js';
export { parseRates, readRates, USUAL_RATES } from './rates.js';
export type { Prices, Rates } from './rates.js';
export { parseTargets, readTargets } from './read-targets.js';
export { reportRun } from './report-run.js';
export type { ReportOptions } from './report-run.js';
export { resume } from './resume.js';
export { rollback } from './rollback.js';
export type { RolledBackRow } from './rollback.js';
export { readResults } from './row.js';
export type { ReadRow, ResultRow, TargetRow } from './row.js';
export type { AttemptReport, RunReport, StageReport, TargetReport } from './run-report.js';
export { runs } from './runs.js';
export type { RunRow } from './runs.js';
export { setExclusiveTags } from './set-exclusive-tags.js';
export type { ExclusiveTagRow } from './set-exclusive-tags.js';
export { startUnpacker } from './start-unpacker.js';
export type { StartOptions } from './start-unpacker.js';
export { localTarget } from './target.js';
export type { AwsTarget, LocalTarget, StrategyName, Target } from './target.js';
export { isTargetSyntax, parseTargetSyntax, selectGroup, selectTargets } from './target-syntax.js';
export type {
  AddVolumesOptions,
  FleetOptions,
  InstanceRow,
  RemoveVolumesOptions,
  StartInstancesOptions,
  StopIdleOptions,
  StoppedRow,
  TaggedRow,
  TagUnpackersOptions,
  UnpackerRow,
  UnpackersRow,
  VolumesRow,
} from './fleet/options.js';
export {
  addVolumes,
  listUnpackers,
  removeUnusedVolumes,
  startUnpackers,
  stopIdleUnpackers,
  tagUnpackers,
} from './unpackers.js';
export { verify } from './verify.js';
export type { VerifiedRow, VerifyOptions } from './verify.js';
