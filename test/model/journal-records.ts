import fc from 'fast-check';
import { STAGES } from '../../src/publisher/event.js';
import type { JournalRecord, RunBegin, RunRecord } from '../../src/publisher/journal.js';
import type { ResultRow } from '../../src/publisher/row.js';
import type { AwsTarget, Target } from '../../src/publisher/target.js';
import { localTarget } from '../../src/publisher/target.js';
import { USUAL_SETTINGS } from '../../src/cloud/aws/settings.js';

/*
 * Journals of any kind: of all strategies, ended or cut off anywhere, resumed and rolled back, with stages and, as old
 * ones, without. All texts are T0, T1 …, so that they can be put in other words.
 */

const START = Date.parse('2026-11-23T06:00:00Z');

const word = fc.nat(9).map(number => `T${String(number)}`);

function awsTarget(strategy: 'direct' | 'snapshot', name: string, region: string): AwsTarget {
  const access = { accountId: '111122223333', role: 'role' };
  return { kind: 'aws', name, account: name, region, strategy, access, settings: { ...USUAL_SETTINGS } };
}

const targets = fc
  .uniqueArray(fc.tuple(fc.constantFrom('local', 'direct', 'snapshot'), fc.nat(99)), {
    minLength: 1,
    maxLength: 6,
    selector: ([, number]) => number,
  })
  .map(chosen =>
    chosen.map(([kind, number]): Target => {
      const name = `target-${String(number)}-`;
      if (kind === 'local') return { ...localTarget('/disks'), name };
      return awsTarget(kind, name, `region-${String(number)}-`);
    }),
  );

/** A stage from its beginning to its end. */
function stageOf(known: readonly Target[]): fc.Arbitrary<Untimed<JournalRecord>[]> {
  const target = fc.option(fc.constantFrom(...known.map(({ name }) => name)));
  return fc
    .record({ target, stage: fc.constantFrom(...STAGES), error: fc.option(word), seconds: fc.nat(99) })
    .map(({ target: of, stage, error, seconds }) => [
      { record: 'begun', target: of, stage },
      { record: 'ended', target: of, stage, seconds, ...(error === null ? {} : { error }) },
    ]);
}

type Untimed<R> = R extends JournalRecord ? Omit<R, 'time'> : never;

function recordOf(known: readonly Target[]): fc.Arbitrary<Untimed<JournalRecord>> {
  const target = fc.constantFrom(...known.map(({ name }) => name));
  const either = fc.option(target);
  const stage = fc.constantFrom(...STAGES);
  const change = fc.constantFrom('remove-disk', 'remove-image', 'create-disk', 'register');
  const error = fc.option(word, { nil: undefined });
  const row = fc
    .record({ AmiId: word, SnapshotId: word, Error: error, AlreadyPublished: fc.boolean() })
    .map(({ Error, ...rest }) => ({ ...rest, ...(Error === undefined ? {} : { Error }) }));
  const rows = fc
    .array(row, { minLength: known.length, maxLength: known.length })
    .map(all => all.map((each, at) => ({ Target: known[at]!.name, ...each }) as unknown as ResultRow));
  return fc.oneof(
    fc.record({ record: fc.constant('intent' as const), target, change }),
    fc.record({ record: fc.constant('outcome' as const), target, change, id: word, parentImage: word }),
    fc.record({ record: fc.constant('outcome' as const), target, change, error: word }),
    fc.record({
      record: fc.constant('sent' as const),
      target,
      diskId: word,
      blocks: fc.array(fc.nat(9999), { maxLength: 5 }),
    }),
    fc.record({ record: fc.constant('begun' as const), target: either, stage }),
    fc.record({ record: fc.constant('reopened' as const), to: fc.constantFrom('resume', 'roll-back') }),
    fc.record({
      record: fc.constant('end' as const),
      outcome: fc.constantFrom('done', 'partly', 'failed'),
      rows,
    }),
    fc.record({
      record: fc.constant('end' as const),
      outcome: fc.constant('rolled-back' as const),
      rows: fc.constant<ResultRow[]>([]),
    }),
  );
}

/** Runs, as their journals may tell of them. */
export const anyRun: fc.Arbitrary<RunRecord> = targets.chain(known =>
  fc
    .record({
      parts: fc.array(
        fc.oneof(
          recordOf(known).map(one => [one]),
          stageOf(known),
        ),
        { maxLength: 20 },
      ),
      // A clock may be put back while a run goes on.
      steps: fc.array(fc.integer({ min: -50, max: 5000 }), { minLength: 41, maxLength: 41 }),
      running: fc.boolean(),
      tags: fc.dictionary(word, word, { maxKeys: 2 }),
    })
    .map(({ parts, steps, running, tags }): RunRecord => {
      let at = START;
      const time = (step: number): string => new Date((at += steps[step]!)).toISOString();
      const begin: RunBegin = {
        record: 'begin',
        time: time(0),
        run: '20261123T060000Z-1a2b3c',
        image: 'base/T0/T1',
        digest: 'T2',
        tags,
        expiresAt: null,
        targets: known,
      };
      const records = parts.flat().map((record, step) => ({ ...record, time: time(step + 1) }));
      return { begin, records: [begin, ...records], running };
    }),
);
