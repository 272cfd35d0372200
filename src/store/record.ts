import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { isHexDigest } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import { MAX_ENTRIES } from '../image/limits.js';
import { parseImageName } from '../image/name.js';
import { seal, unseal } from '../image/sealed.js';
import { time } from './record-time.js';
import type { ImageRecord } from './store.js';

/*
 * The record of an image: what is kept of it beside its content, as a sealed record (image/sealed.ts).
 *
 *   name         as image/name.ts has it
 *   digest       of the manifest's index, hex
 *   createdAt    RFC 3339, in UTC with milliseconds: 2026-11-23T06:00:00.000Z
 *   expiresAt    the same, or null
 *   entries      of the manifest
 *   bytes        sum of the sizes of all files, hard links counted once
 *   tags         object: strings by key
 *   annotations  object: digests of objects, hex, by key
 *
 * All of these are there, and no others. Tags are what a cloud takes: keys of 1 to 128 characters, values of
 * at most 256, no controls. The key of an annotation is made as a part of an image name.
 */

/** A record with every tag and annotation at its limit stays below it. */
export const MAX_RECORD_BYTES = 1 << 20;
/** What Amazon allows for one resource. */
const MAX_TAGS = 50;
const MAX_ANNOTATIONS = 50;

const TEXT = /^[^\u0000-\u001f\u007f]*$/u;
const ANNOTATION_KEY = /^[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$/;
/** Names that objects have from the start. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype']);

const digest = v.pipe(v.string(), v.check(isHexDigest, 'is no digest'));

function map(fault: (key: string, value: string) => string | undefined, most: number) {
  const isMap = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    const pairs = Object.entries(value);
    return (
      pairs.length <= most && pairs.every(([key, text]) => typeof text === 'string' && !fault(key, text))
    );
  };
  return v.custom<Record<string, string>>(isMap, 'holds what it must not');
}

const schema = v.strictObject({
  name: v.pipe(v.string(), v.check(isImageName, 'is no image name')),
  digest,
  createdAt: time,
  expiresAt: v.nullable(time),
  entries: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_ENTRIES)),
  bytes: v.pipe(
    v.union([v.pipe(v.number(), v.safeInteger()), v.bigint()]),
    v.transform(count => BigInt(count)),
    v.minValue(0n),
  ),
  tags: map(tagFault, MAX_TAGS),
  annotations: map(annotationFault, MAX_ANNOTATIONS),
});

/** A record as it is kept. */
export function encodeRecord(record: ImageRecord): Buffer {
  const { name, digest, createdAt, expiresAt, entries, bytes, tags, annotations } = record;
  return Buffer.from(seal({ name, digest, createdAt, expiresAt, entries, bytes, tags, annotations }));
}

/** The record in `text`, which was read from `file`. Throws `STORE_DAMAGED`, naming the file. */
export function decodeRecord(text: Buffer, file: string): ImageRecord {
  const result = v.safeParse(schema, unseal(text, file, 'STORE_DAMAGED'), { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const where = v.getDotPath(issue) ?? 'the record';
  throw new ImageUnpackerError('STORE_DAMAGED', `${file} is damaged: ${where}: ${issue.message}`, {
    path: file,
  });
}

/** Whether two records say the same; in which order they have their tags does not matter. */
export function isSameRecord(a: ImageRecord, b: ImageRecord): boolean {
  return isDeepStrictEqual({ ...a, tags: { ...a.tags } }, { ...b, tags: { ...b.tags } });
}

/** The order of images: oldest first, by their names where their times are the same. */
export function byAge(a: ImageRecord, b: ImageRecord): number {
  return compareText(a.createdAt, b.createdAt) || compareText(a.name, b.name);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What keeps `key` and `value` from being a tag, if anything does. */
export function tagFault(key: string, value: string): string | undefined {
  if (key.length === 0 || key.length > 128) return 'the key of a tag has 1 to 128 characters';
  if (value.length > 256) return 'the value of a tag has at most 256 characters';
  if (!TEXT.test(key) || !TEXT.test(value)) return 'a tag has no control characters';
  return RESERVED.has(key) ? `no tag can be called ${key}` : undefined;
}

function annotationFault(key: string, value: string): string | undefined {
  return annotationKeyFault(key) ?? (isHexDigest(value) ? undefined : 'an annotation is a digest');
}

/** What keeps `key` from being the key of an annotation, if anything does. */
export function annotationKeyFault(key: string): string | undefined {
  if (ANNOTATION_KEY.test(key) && !RESERVED.has(key)) return undefined;
  return 'the key of an annotation begins with a letter or digit, goes on with letters, digits or . _ - + ~, and has at most 64';
}

/** Throws `USAGE` unless all of these can be the tags of an image. */
export function checkTags(tags: ReadonlyMap<string, string>): void {
  if (tags.size > MAX_TAGS) {
    throw new ImageUnpackerError('USAGE', `An image has at most ${String(MAX_TAGS)} tags`);
  }
  for (const [key, value] of tags) throwFault(`tag ${JSON.stringify(key)}`, tagFault(key, value));
}

/** Throws `USAGE` unless all of these can be the keys of an image's annotations. */
export function checkAnnotationKeys(keys: readonly string[]): void {
  if (keys.length > MAX_ANNOTATIONS) {
    throw new ImageUnpackerError('USAGE', `An image has at most ${String(MAX_ANNOTATIONS)} annotations`);
  }
  for (const key of keys) throwFault(`annotation ${JSON.stringify(key)}`, annotationKeyFault(key));
}

function throwFault(what: string, fault: string | undefined): void {
  if (fault !== undefined) throw new ImageUnpackerError('USAGE', `The ${what} is not valid: ${fault}`);
}

/** Whether `name` can be the name of an image. */
export function isImageName(name: string): boolean {
  try {
    parseImageName(name);
    return true;
  } catch {
    return false;
  }
}
