import * as v from 'valibot';
import { imageDamaged } from './files.js';
import { isDigest } from './verified.js';

/*
 * The JSON documents of the OCI image format 1.1 and of Docker's (manifest 2.2, `docker save`); of each, what is needed.
 * What else they hold is not looked at. The two formats differ in media types only.
 */

/** Docker takes 127 layers. */
const MAX_LAYERS = 1024;
const MAX_MANIFESTS = 1024;
const MAX_TEXT = 4096;

const text = v.pipe(v.string(), v.maxLength(MAX_TEXT));
const digest = v.pipe(text, v.check(isDigest, 'is no digest of SHA-256 or SHA-512'));
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const platform = v.object({ os: text, architecture: text, variant: v.optional(text) });
const annotations = v.optional(v.nullable(v.record(text, v.string())));

const descriptor = v.object({
  mediaType: v.optional(text),
  digest,
  size,
  platform: v.optional(v.nullable(platform)),
  annotations,
});
/** What a document says of another one, or of a layer. */
export type Descriptor = v.InferOutput<typeof descriptor>;

export const indexSchema = v.object({
  schemaVersion: v.literal(2),
  manifests: v.pipe(v.array(descriptor), v.maxLength(MAX_MANIFESTS)),
});

export const manifestSchema = v.object({
  schemaVersion: v.literal(2),
  config: descriptor,
  layers: v.pipe(v.array(descriptor), v.maxLength(MAX_LAYERS)),
});

export const configSchema = v.object({
  os: v.optional(text, ''),
  architecture: v.optional(text, ''),
  variant: v.optional(text),
  rootfs: v.object({
    type: v.literal('layers'),
    diff_ids: v.nullable(v.pipe(v.array(digest), v.maxLength(MAX_LAYERS))),
  }),
});
export type Config = v.InferOutput<typeof configSchema>;

export const layoutSchema = v.object({ imageLayoutVersion: v.literal('1.0.0') });

/** The `manifest.json` of `docker save`. */
export const dockerSchema = v.pipe(
  v.array(
    v.object({
      Config: text,
      RepoTags: v.optional(v.nullable(v.pipe(v.array(text), v.maxLength(MAX_MANIFESTS)))),
      Layers: v.nullable(v.pipe(v.array(text), v.maxLength(MAX_LAYERS))),
    }),
  ),
  v.maxLength(MAX_MANIFESTS),
);

/** The document in `bytes`, of which messages say `what`. Throws `SOURCE_DAMAGED`. */
export function parseDocument<S extends v.GenericSchema>(
  schema: S,
  bytes: Buffer,
  location: string,
  what: string,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw imageDamaged(location, `${what} is no JSON`);
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw imageDamaged(location, `${what}: ${v.getDotPath(issue) ?? 'it'}: ${issue.message}`);
}
