import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const USAGE = `npm run quickstart [-- [--to DIR] [SOURCE]]

Makes an image of SOURCE, a directory or a tar file, publishes it as a disk image below DIR (./published),
changes a copy of it as a new release would, publishes that too, and shows what both cost.
Without SOURCE it takes a small Debian, which it makes once and keeps for the next time.`;

/** The call is wrong. */
export class UsageError extends Error {}

/** What is asked for, or undefined when only help is. Throws `UsageError`. */
export function readRequest(parameters, { environment, directory }) {
  const { values, positionals } = parse(parameters);
  if (values.help) return undefined;
  if (positionals.length > 1) throw new UsageError('There can be one SOURCE only');
  // npm runs scripts in the root of the package; paths are meant from where it was called.
  const at = path => resolve(environment.INIT_CWD ?? directory, path);
  const source = positionals[0] === undefined ? undefined : at(positionals[0]);
  const cache = environment.XDG_CACHE_HOME || join(homedir(), '.cache');
  return {
    source,
    stream: `quickstart/${source === undefined ? 'debian-12' : streamPartOf(source)}`,
    published: at(values.to),
    kept: join(cache, 'image-unpacker/quickstart'),
  };
}

function parse(parameters) {
  const options = { help: { type: 'boolean', short: 'h' }, to: { type: 'string', default: 'published' } };
  try {
    return parseArgs({ args: parameters, options, allowPositionals: true });
  } catch (reason) {
    throw new UsageError(reason.message);
  }
}

/** The name of a source as part of the name of a stream. */
function streamPartOf(source) {
  const name = basename(source).replace(/\.(tar|tgz|txz)\b.*$/, '');
  return (
    name
      .replace(/[^A-Za-z0-9._+~-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+|\.+$/g, '')
      .slice(0, 100) || 'content'
  );
}
