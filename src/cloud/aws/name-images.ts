import { findImage } from './find.js';
import type { StreamParameter } from './parameters.js';
import { deleteParameter, parameterName, publishParameter, readParameter } from './parameters.js';
import type { AwsSession } from './session.js';

/*
 * The parameters of a stream: `latest` names its newest image, `promoted` the preferred one, `previous` the one that was
 * preferred before. None of them ever names an image that we remove.
 */

/** An image of a stream whose parameters are at a path. */
export interface NamedImage {
  readonly imageId: string;
  readonly stream: string;
  readonly path: string;
  readonly target: string;
  readonly signal?: AbortSignal | undefined;
}

/** Points `previous` to what `promoted` names, or to `before`, and then `promoted` to an image. Throws `TIMEOUT`. */
export async function nameAsPreferred(
  session: AwsSession,
  { imageId, stream, path, target, signal }: NamedImage,
  before: string | undefined,
): Promise<void> {
  const promoted = parameterName(path, stream, 'promoted');
  const current = await readParameter(session, promoted, signal);
  if (current === imageId) return;
  const previous = current ?? before;
  // AWS takes no image that is gone, and does not say so.
  const known =
    previous === undefined || previous === imageId
      ? undefined
      : await findImage(session, previous, { signal });
  if (known?.State === 'available') {
    const name = parameterName(path, stream, 'previous');
    await publishParameter(session, { name, value: previous!, target, signal });
  }
  await publishParameter(session, { name: promoted, value: imageId, target, signal });
}

/** Lets no parameter name an image that is to be removed: `latest` names the newest of the others, if there is one. */
export async function nameNoMore(
  session: AwsSession,
  { imageId, stream, path, target, signal }: NamedImage,
  newestOther: () => Promise<string | undefined>,
): Promise<void> {
  for (const which of ['latest', 'promoted', 'previous'] satisfies StreamParameter[]) {
    const name = parameterName(path, stream, which);
    if ((await readParameter(session, name, signal)) !== imageId) continue;
    const value = which === 'latest' ? await newestOther() : undefined;
    if (value === undefined) await deleteParameter(session, name, { signal });
    else await publishParameter(session, { name, value, target, signal });
  }
}
