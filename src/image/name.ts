import { ImageUnpackerError } from './error.js';

/*
 *   name   = stream "/" leaf
 *   stream = part *( "/" part )
 *   leaf   = part
 *   part   = alnum *( alnum | "." | "_" | "-" | "+" | ":" | "~" )     1 to 200 bytes, not ending in "."
 */

const PART = /^[A-Za-z0-9][A-Za-z0-9._+:~-]{0,199}$/;
/** Well below PATH_MAX, so that a store can use a name as a path. */
const MAX_NAME_LENGTH = 1024;

/** The name of an image, taken apart. */
export interface ImageName {
  stream: string;
  leaf: string;
}

/** Takes an image name apart. Throws `IMAGE_NAME` saying what is wrong with it. */
export function parseImageName(name: string): ImageName {
  const parts = checkParts(name, 'image name');
  if (parts.length < 2) {
    throw wrong(
      'image name',
      name,
      'has no stream: it is STREAM/LEAF, such as base/debian-12/2026-11-23T06:00',
    );
  }
  return { stream: parts.slice(0, -1).join('/'), leaf: parts.at(-1)! };
}

/** Throws `IMAGE_NAME` unless `stream` can be the name of a stream. */
export function checkStreamName(stream: string): void {
  checkParts(stream, 'stream name');
}

function checkParts(name: string, kind: string): string[] {
  if (name === '') throw wrong(kind, name, 'is empty');
  if (name.length > MAX_NAME_LENGTH)
    throw wrong(kind, name, `is longer than ${String(MAX_NAME_LENGTH)} bytes`);
  if (name.startsWith('/')) throw wrong(kind, name, 'begins with a slash');
  const parts = name.split('/');
  for (const part of parts) {
    if (part === '') throw wrong(kind, name, 'has an empty part');
    if (part === '.' || part === '..') throw wrong(kind, name, `has "${part}" as a part`);
    if (!PART.test(part) || part.endsWith('.')) {
      throw wrong(
        kind,
        name,
        `has the part ${JSON.stringify(part)}: a part begins with a letter or digit, goes on with letters, digits or . _ - + : ~, does not end in a dot, and is at most 200 long`,
      );
    }
  }
  return parts;
}

function wrong(kind: string, name: string, what: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_NAME', `The ${kind} ${JSON.stringify(name)} ${what}`, { image: name });
}
