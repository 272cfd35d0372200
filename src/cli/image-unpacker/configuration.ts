import { dirname, resolve } from 'node:path';
import * as v from 'valibot';
import { parseConfiguration, section } from '../../image/configuration.js';
import { checkStreamName } from '../../image/name.js';
import type { StreamSettings } from '../../unpacker/work.js';
import { bootEntries } from '../../volume/boot/options.js';
import type { Limits } from '../../image/settable-limits.js';
import { cache, limits, pathsFrom, place, readConfigurationText, size, storeFrom } from '../configuration.js';

const disk = section({
  espSize: v.optional(size),
  biosBootSize: v.optional(size),
  identity: v.optional(v.picklist(['stream', 'image'])),
});
const streamSettings = section({
  layout: v.optional(v.picklist(['whole', 'disk'])),
  boot: v.optional(section(bootEntries), {}),
  disk: v.optional(disk, {}),
});

const schema = section({
  listen: v.optional(v.union([place, v.array(place)])),
  stateDir: v.optional(place),
  store: v.optional(place),
  server: v.optional(place),
  certs: v.optional(place),
  trustedKeys: v.optional(place),
  cache: v.optional(cache, {}),
  limits: v.optional(limits),
  volumes: v.optional(section({ directory: place, size: v.optional(size) })),
  layout: v.optional(v.picklist(['whole', 'disk'])),
  boot: v.optional(section(bootEntries), {}),
  disk: v.optional(disk, {}),
  streams: v.optional(
    v.record(v.pipe(v.string(), v.check(isStreamName, 'no name of a stream')), streamSettings),
    {},
  ),
});

function isStreamName(name: string): boolean {
  try {
    checkStreamName(name);
    return true;
  } catch {
    return false;
  }
}

/** What the configuration of an agent says; what it leaves out is undefined. Paths are absolute. */
export interface AgentConfiguration {
  listen?: string[] | undefined;
  stateDir?: string | undefined;
  store?: string | undefined;
  server?: string | undefined;
  certs?: string | undefined;
  /** A file of public keys: only images that are signed with one of them are unpacked. */
  trustedKeys?: string | undefined;
  /** Where objects are kept that come from elsewhere. */
  cache?: { directory?: string | undefined; size?: number | undefined } | undefined;
  limits?: Limits | undefined;
  volumes?: { directory: string; size?: number | undefined } | undefined;
  /** How the volume of a stream is made. */
  settingsOf: (stream: string) => StreamSettings;
}

/** Reads the configuration of an agent. Throws `CONFIGURATION` with the file and the line. */
export async function readAgentConfiguration(path: string): Promise<AgentConfiguration> {
  const text = await readConfigurationText(path);
  const {
    listen,
    volumes,
    layout,
    boot,
    disk: made,
    streams,
    ...rest
  } = parseConfiguration(text, path, schema);
  const absolute = pathsFrom(path);
  return {
    ...rest,
    listen: typeof listen === 'string' ? [listen] : listen,
    stateDir: absolute(rest.stateDir),
    certs: absolute(rest.certs),
    trustedKeys: absolute(rest.trustedKeys),
    store: storeFrom(path, rest.store),
    cache: { ...rest.cache, directory: absolute(rest.cache.directory) },
    volumes: volumes && { ...volumes, directory: resolve(dirname(path), volumes.directory) },
    settingsOf: stream => {
      const own = streams[stream];
      const { espSize: espBytes, biosBootSize: biosBootBytes, identity } = { ...made, ...own?.disk };
      return {
        layout: own?.layout ?? layout,
        boot: { ...boot, ...own?.boot },
        disk: { espBytes, biosBootBytes, identity },
      };
    },
  };
}
