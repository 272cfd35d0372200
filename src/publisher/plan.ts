import { TAG } from '../cloud/cloud.js';
import type { PreflightCheck } from '../cloud/cloud.js';
import { parseImageName } from '../image/name.js';
import { findImage } from '../store/find-image.js';
import type { Store } from '../store/store.js';
import { checkContent } from './check-content.js';
import type { Estimate, Outlook } from './estimate.js';
import { estimateRun } from './estimate.js';
import { makeOpenTarget } from './open-target.js';
import type { TargetsOptions, UnpackersOptions } from './options.js';
import type { Foresight } from './outlook.js';
import { Foreseer } from './outlook.js';
import type { Rates } from './rates.js';
import { USUAL_RATES } from './rates.js';
import type { TargetRow } from './row.js';
import { planned } from './run-targets.js';
import type { SurveyedTarget } from './survey-all.js';
import { failedRow, surveyAll } from './survey-all.js';
import type { StrategyName } from './target.js';

/** What would be done in a target. All that is estimated has a key that says so. */
export interface PlanRow extends TargetRow {
  Strategy: StrategyName;
  ImageName: string;
  ImageDigest: string;
  /** `none` where it is published already, `refused` where it can not be: `Error` says why. */
  Action: 'publish' | 'none' | 'refused';
  AlreadyPublished: boolean;
  /** The image that is there already. */
  AmiId?: string;
  ParentSnapshotId?: string;
  /** The image whose disk would be the parent. */
  ParentImage?: string;
  /** With the strategy `snapshot`: the unpacker, and whether it would have to be started. */
  Unpacker?: string;
  UnpackerRuns?: boolean;
  /** The volume that the image would be unpacked to; absent where one would be made. */
  VolumeId?: string;
  /** GiB of the volume: now, 0 where there is none, and then. */
  VolumeSize?: number;
  VolumeSizeThen?: number;
  /** When it was changed last, where it would have to grow and AWS may refuse that so soon after. */
  VolumeChangedAt?: string;
  /** Bytes of content that the parent has not. */
  NewBytes?: number;
  /** Blocks of 512 KiB that are to be sent. */
  EstimatedBlocks?: number;
  /** From what that was told: what the image's disk holds where it was published already, or its content. */
  EstimatedFrom?: 'disk' | 'content';
  /** Seconds until the image is there, and by stage. */
  EstimatedSeconds?: number;
  EstimatedStages?: Readonly<Record<string, number>>;
  /** US dollars, once and a month. */
  EstimatedCost?: number;
  EstimatedMonthlyCost?: number;
  /** What was found of permissions and quotas, when that was asked for. */
  Preflight?: readonly PreflightCheck[];
}

/** What is asked about. */
export interface PlanOptions extends TargetsOptions {
  readonly image: string;
  readonly store: Store;
  /** What estimates are made with; default: `USUAL_RATES`. */
  readonly rates?: Rates | undefined;
  /** How unpackers are found and reached where images are unpacked there. */
  readonly unpackers?: UnpackersOptions | undefined;
  /** Whether to look for permissions and quotas as well. */
  readonly preflight?: boolean | undefined;
}

/**
 * Says for each target what `publish` would do there, with estimates of its time and cost, and changes nothing. With
 * `preflight` a target where publishing would fail for want of a permission or of room is `refused`. Throws
 * `IMAGE_UNKNOWN`, `CANCELLED`, and `IMAGE_UNSUPPORTED` for an image that would have to be unpacked and that no volume
 * can hold.
 */
export async function plan(options: PlanOptions): Promise<PlanRow[]> {
  const { image, store, signal, rates = USUAL_RATES, preflight = false } = options;
  const now = options.now ?? (() => new Date());
  const openTarget = options.openTarget ?? makeOpenTarget(store, undefined, options.unpackers);
  const record = await findImage(store, image);
  const surveys = await surveyAll(record, { ...options, openTarget }, now);
  if (planned(surveys)) await checkContent(store, record, surveys, signal);
  const foreseer = new Foreseer({ store, image: record, surveys, rates, signal });
  const { stream } = parseImageName(record.name);
  const foreseen = await Promise.all(
    surveys.map(async (survey): Promise<[SurveyedTarget, Foresight | undefined]> => {
      if (survey.survey?.kind !== 'publish') return [survey, undefined];
      const how = { open: openTarget, now, stream, preflight };
      return foreseer.foresee(survey, survey.survey.parent, how).then(
        found => [survey, found],
        (reason: unknown) => [
          { ...survey, survey: undefined, row: failedRow(survey.row, reason) },
          undefined,
        ],
      );
    }),
  );
  const outlooks = foreseen.flatMap(([, foresight]) => (foresight === undefined ? [] : [foresight.outlook]));
  const estimates = estimateRun(outlooks, rates);
  return foreseen.map(([survey, foresight]) =>
    foresight === undefined ? settledRow(survey) : publishRow(survey, foresight, estimates.shift()!),
  );
}

function columnsOf({ row }: SurveyedTarget) {
  const { Stages, BlocksSent, ...columns } = row;
  return columns;
}

function settledRow(surveyed: SurveyedTarget): PlanRow {
  return { ...columnsOf(surveyed), Action: surveyed.survey === undefined ? 'refused' : 'none' };
}

function publishRow(surveyed: SurveyedTarget, foresight: Foresight, estimate: Estimate): PlanRow {
  const { parent, outlook, checks } = foresight;
  const imageName = parent?.tags[TAG.imageName];
  return {
    ...columnsOf(surveyed),
    Action: 'publish',
    ...(parent === undefined ? {} : { ParentSnapshotId: parent.diskId }),
    ...(imageName === undefined ? {} : { ParentImage: imageName }),
    ...unpackerColumns(outlook),
    NewBytes: outlook.newBytes,
    EstimatedBlocks: estimate.blocks,
    EstimatedFrom: outlook.knownBlocks === undefined ? 'content' : 'disk',
    EstimatedSeconds: estimate.seconds,
    EstimatedStages: estimate.stages,
    EstimatedCost: estimate.cost,
    EstimatedMonthlyCost: estimate.monthlyCost,
    ...(checks === undefined ? {} : { Preflight: checks, ...refusal(checks) }),
  };
}

function unpackerColumns({ unpacker }: Outlook): Partial<PlanRow> {
  if (unpacker === undefined) return {};
  return {
    Unpacker: unpacker.unpacker,
    UnpackerRuns: unpacker.runs,
    ...(unpacker.volume === undefined ? {} : { VolumeId: unpacker.volume }),
    VolumeSize: unpacker.size,
    VolumeSizeThen: unpacker.sizeThen,
    ...(unpacker.changedAt === undefined ? {} : { VolumeChangedAt: unpacker.changedAt }),
  };
}

/** Why publishing would fail, if anything was found to be against it. */
function refusal(checks: readonly PreflightCheck[]): Partial<PlanRow> {
  const failed = checks.filter(({ state }) => state === 'failed');
  if (failed.length === 0) return {};
  const Error = failed.map(({ check, message }) => `${check}: ${message}`).join('; ');
  const isQuota = failed.every(({ kind }) => kind === 'quota');
  return { Action: 'refused', Error, ErrorCode: isQuota ? 'QUOTA_EXCEEDED' : 'NO_PERMISSION' };
}
