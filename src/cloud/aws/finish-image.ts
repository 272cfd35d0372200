import type { LaunchPermission } from '@aws-sdk/client-ec2';
import { TAG } from '../cloud.js';
import type { Tags } from '../cloud.js';
import type { AwsSession } from './session.js';
import { parameterName, publishParameter } from './parameters.js';
import type { AwsImageSettings } from './settings.js';
import { UNFINISHED } from './tags.js';

/** An image that was registered and is to be as its target wants it. */
export interface FinishedImage {
  readonly imageId: string;
  readonly tags: Tags;
  readonly settings: AwsImageSettings;
  readonly target: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lets others use an image, says when it is deprecated, and points the parameter of its stream to it; only then it
 * counts as published. All of it can be done again.
 */
export async function finishImage(session: AwsSession, image: FinishedImage): Promise<void> {
  const { imageId, tags, settings, target, signal } = image;
  const Add = launchPermissions(settings);
  if (Add.length > 0) {
    await session.call('ModifyImageAttribute', { ImageId: imageId, LaunchPermission: { Add } }, { signal });
  }
  if (settings.deprecateAfter !== undefined) {
    const DeprecateAt = new Date(session.clock.now() + settings.deprecateAfter * 1000);
    await session.call('EnableImageDeprecation', { ImageId: imageId, DeprecateAt }, { signal });
  }
  const stream = tags[TAG.stream];
  if (settings.parameters !== undefined && stream !== undefined) {
    const name = parameterName(settings.parameters, stream, 'latest');
    await publishParameter(session, { name, value: imageId, target, signal });
  }
  await session.call('DeleteTags', { Resources: [imageId], Tags: [{ Key: UNFINISHED }] }, { signal });
}

/** All that share an image, in one request. */
export function launchPermissions({ sharedWith }: AwsImageSettings): LaunchPermission[] {
  if (sharedWith === undefined) return [];
  const { accounts, organisations, units } = sharedWith;
  return [
    ...accounts.map(UserId => ({ UserId })),
    ...organisations.map(OrganizationArn => ({ OrganizationArn })),
    ...units.map(OrganizationalUnitArn => ({ OrganizationalUnitArn })),
  ];
}
