import * as v from 'valibot';
import { parseConfiguration, section } from '../../image/configuration.js';
import type { Limits } from '../../image/settable-limits.js';
import { cache, limits, pathsFrom, place, readConfigurationText, storeFrom } from '../configuration.js';
import type { Pushes } from './pushes.js';
import { PUSHES } from './pushes.js';

const schema = section({
  listen: v.optional(v.union([place, v.array(place)])),
  store: v.optional(place),
  replicateFrom: v.optional(place),
  replicateCerts: v.optional(place),
  pushes: v.optional(v.picklist(PUSHES)),
  certs: v.optional(place),
  trustedKeys: v.optional(place),
  demandContent: v.optional(v.boolean()),
  maxConnections: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  cache: v.optional(cache, {}),
  limits: v.optional(limits),
});

/** What the configuration of an image server says; what it leaves out is undefined. Paths are absolute. */
export interface ServerConfiguration {
  listen?: string[] | undefined;
  store?: string | undefined;
  /** The address of the server that this one is a replica of. */
  replicateFrom?: string | undefined;
  /** The directory of the certificates that are shown to that server. */
  replicateCerts?: string | undefined;
  /** What becomes of what is sent here, when this one is a replica. */
  pushes?: Pushes | undefined;
  certs?: string | undefined;
  /** A file of public keys: only images that are signed with one of them are taken. */
  trustedKeys?: string | undefined;
  /** Whether all content is to be sent, and compared with what is there. */
  demandContent?: boolean | undefined;
  /** More connections at a time are refused, at each address. */
  maxConnections?: number | undefined;
  /** Where objects are kept on the way to a store that is elsewhere. */
  cache?: { directory?: string | undefined; size?: number | undefined } | undefined;
  limits?: Limits | undefined;
}

/** Reads the configuration of an image server. Throws `CONFIGURATION` with the file and the line. */
export async function readServerConfiguration(path: string): Promise<ServerConfiguration> {
  const { listen, ...rest } = parseConfiguration(await readConfigurationText(path), path, schema);
  const absolute = pathsFrom(path);
  return {
    ...rest,
    listen: typeof listen === 'string' ? [listen] : listen,
    certs: absolute(rest.certs),
    trustedKeys: absolute(rest.trustedKeys),
    replicateCerts: absolute(rest.replicateCerts),
    store: storeFrom(path, rest.store),
    cache: { ...rest.cache, directory: absolute(rest.cache.directory) },
  };
}
