import { TAG } from '../cloud/cloud.js';
import type { PublishedImage } from '../cloud/cloud.js';
import { DISK_BLOCK_SIZE } from '../image/disk-map.js';
import { ImageUnpackerError } from '../image/error.js';
import { findImage } from '../store/find-image.js';
import { diffManifests } from '../store/diff.js';
import { ManifestReader } from '../store/manifest-reader.js';
import type { ImageRecord, Store } from '../store/store.js';
import { checkContent } from './check-content.js';
import type { TargetsOptions } from './options.js';
import type { TargetRow } from './row.js';
import { planned } from './run-targets.js';
import type { SurveyedTarget } from './survey-all.js';
import { surveyAll } from './survey-all.js';
import type { StrategyName } from './target.js';

/** What would be done in a target. */
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
  /** Bytes of content that the parent has not. */
  NewBytes?: number;
  /** Blocks of 512 KiB that so much content takes at least; how many it will be shows only when it is unpacked. */
  EstimatedBlocks?: number;
}

/** What is asked about. */
export interface PlanOptions extends TargetsOptions {
  readonly image: string;
  readonly store: Store;
}

/**
 * Says for each target what `publish` would do there, and changes nothing. Throws `IMAGE_UNKNOWN`, `CANCELLED`, and
 * `IMAGE_UNSUPPORTED` for an image that would have to be unpacked and that no volume can hold.
 */
export async function plan(options: PlanOptions): Promise<PlanRow[]> {
  const { image, store, signal } = options;
  const record = await findImage(store, image);
  const surveys = await surveyAll(record, options, options.now ?? (() => new Date()));
  if (planned(surveys)) await checkContent(store, record, surveys, signal);
  const estimates = new Map<string, Promise<bigint>>();
  const estimate = (parent: PublishedImage | undefined): Promise<bigint> => {
    const digest = parent?.tags[TAG.imageDigest] ?? '';
    const known = estimates.get(digest) ?? newBytes(store, record, digest, signal);
    estimates.set(digest, known);
    return known;
  };
  return Promise.all(surveys.map(survey => planRow(survey, estimate)));
}

async function planRow(
  { row, survey }: SurveyedTarget,
  estimate: (parent: PublishedImage | undefined) => Promise<bigint>,
): Promise<PlanRow> {
  const { Stages, BlocksSent, AlreadyPublished, ...columns } = row;
  const planned = { ...columns, AlreadyPublished };
  if (survey === undefined) return { ...planned, Action: 'refused' };
  if (survey.kind === 'published') return { ...planned, Action: 'none' };
  const { parent } = survey;
  const bytes = await estimate(parent);
  const imageName = parent?.tags[TAG.imageName];
  return {
    ...planned,
    Action: 'publish',
    ...(parent === undefined ? {} : { ParentSnapshotId: parent.diskId }),
    ...(imageName === undefined ? {} : { ParentImage: imageName }),
    NewBytes: Number(bytes),
    EstimatedBlocks: Math.ceil(Number(bytes) / DISK_BLOCK_SIZE),
  };
}

/** The bytes of content that an image has and the one with `digest` has not; all, if that is not in the store. */
async function newBytes(
  store: Store,
  image: ImageRecord,
  digest: string,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  const bytes = Buffer.from(digest, 'hex');
  if (digest === '' || (await store.has([bytes]))[0] !== true) return image.bytes;
  try {
    const from = await ManifestReader.open(store, bytes);
    const to = await ManifestReader.open(store, Buffer.from(image.digest, 'hex'));
    return (await diffManifests(from, to, { signal })).newBytes;
  } catch (reason) {
    // Of an image that was deleted, not all pages need be there any more.
    if (reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED') return image.bytes;
    throw reason;
  }
}
