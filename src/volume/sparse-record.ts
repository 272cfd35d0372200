import { join } from 'node:path';
import * as v from 'valibot';
import { seal, unseal } from '../image/sealed.js';
import type { SparseForm, SparseForms } from '../image/sparse-form.js';
import { formKey } from '../image/sparse-form.js';
import { replaceDurably } from '../store/durable.js';
import { isDamagedState, readIfThere } from './state-directory.js';

/*
 * The sparse forms of objects that were written to a volume, kept beside its record: what is known of an object is
 * so for ever, whatever becomes of the volume. What is lost of it costs no more than reading a file again.
 */

/** So many objects are known at most; the oldest are forgotten. */
const MOST_OBJECTS = 4096;
const PRIVATE = 0o600;

const hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const schema = v.strictObject({
  objects: v.array(
    v.strictObject({
      object: hex,
      digest: v.nullable(hex),
      /** Where each run of zeros begins, and how many blocks it has. */
      zeros: v.array(v.tuple([count, count])),
    }),
  ),
});

/** The sparse forms that the record in `directory` knows; none where they are damaged. */
export async function readSparseForms(directory: string): Promise<SparseForms> {
  const path = pathIn(directory);
  const text = await readIfThere(path);
  if (text === undefined) return new Map();
  try {
    const { objects } = v.parse(schema, unseal(text, path, 'STATE_DAMAGED'));
    return new Map(
      objects.map(({ object, digest, zeros }) => [
        formKey(Buffer.from(object, 'hex')),
        decode(digest, zeros),
      ]),
    );
  } catch (reason) {
    if (reason instanceof v.ValiError || isDamagedState(reason)) return new Map();
    throw reason;
  }
}

/** Adds to what the record in `directory` knows. */
export async function addSparseForms(directory: string, learned: SparseForms): Promise<void> {
  if (learned.size === 0) return;
  const forms = new Map([...(await readSparseForms(directory)), ...learned]);
  const objects = [...forms].slice(-MOST_OBJECTS).map(([key, { digest, zeros }]) => ({
    object: Buffer.from(key, 'latin1').toString('hex'),
    digest: digest?.toString('hex') ?? null,
    zeros: zeros.map(run => [Number(run.start), Number(run.count)]),
  }));
  await replaceDurably(pathIn(directory), seal({ objects }), PRIVATE);
}

function pathIn(directory: string): string {
  return join(directory, 'sparse');
}

function decode(digest: string | null, zeros: readonly [number, number][]): SparseForm {
  return {
    digest: digest === null ? null : Buffer.from(digest, 'hex'),
    zeros: zeros.map(([start, length]) => ({ start: BigInt(start), count: BigInt(length) })),
  };
}
