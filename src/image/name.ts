import { ImageUnpackerError } from './error.js';

/*
 *   name   = stream "/" leaf
 *   stream = part *( "/" part )
 *   leaf   = part
 *   channel = stream "@" part
 *   part   = alnum *( alnum | "." | "_" | "-" | "+" | ":" | "~" )     1 to 200 bytes, not ending in "."
 */

const PART = /^[A-Za-z0-9][A-Za-z0-9._+:~-]{0,199}$/;
const PART_RULE =
  'is none: a part begins with a letter or digit, goes on with letters, digits or . _ - + : ~, does not end in a dot, and is at most 200 long';
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

/** A name that stands for an image: its own, or that of a channel, `stream@channel`. */
export interface ImageOrChannel {
  stream: string;
  /** Of an image's own name. */
  leaf?: string;
  channel?: string;
}

/** Takes the name of an image or of a channel apart. Throws `IMAGE_NAME`. */
export function parseImageOrChannel(name: string): ImageOrChannel {
  return name.includes('@') ? parseChannelName(name) : parseImageName(name);
}

/** Takes the name of a channel, `stream@channel`, apart. Throws `IMAGE_NAME` saying what is wrong with it. */
export function parseChannelName(name: string): { stream: string; channel: string } {
  const at = name.indexOf('@');
  if (at < 0)
    throw wrong('channel name', name, 'has no channel: it is STREAM@CHANNEL, such as base/debian-12@stable');
  const [stream, channel] = [name.slice(0, at), name.slice(at + 1)];
  checkParts(stream, 'stream name');
  if (!isPart(channel))
    throw wrong('channel name', name, `has ${JSON.stringify(channel)} after the @, which ${PART_RULE}`);
  return { stream, channel };
}

/** Whether `text` can be a part of a name. */
export function isPart(text: string): boolean {
  return PART.test(text) && !text.endsWith('.');
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
    if (!isPart(part)) throw wrong(kind, name, `has the part ${JSON.stringify(part)}, which ${PART_RULE}`);
  }
  return parts;
}

function wrong(kind: string, name: string, what: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_NAME', `The ${kind} ${JSON.stringify(name)} ${what}`, { image: name });
}
