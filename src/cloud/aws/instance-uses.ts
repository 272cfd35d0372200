import type { Instance } from '@aws-sdk/client-ec2';
import type { ImageUse } from '../cloud.js';
import { pages } from './find.js';
import type { AwsSession, CallOptions } from './session.js';
import { fromTagList } from './tags.js';

const PAGE = 1000;
/** Values that a filter takes (DescribeInstances). */
const MOST_VALUES = 200;
/** All but `terminated`. */
const STATES = ['pending', 'running', 'shutting-down', 'stopping', 'stopped'];

/** The machines that were made of these images. */
export async function instanceUses(
  session: AwsSession,
  imageIds: readonly string[],
  options: CallOptions,
): Promise<ImageUse[]> {
  const uses: ImageUse[] = [];
  for (let at = 0; at < imageIds.length; at += MOST_VALUES) {
    const Filters = [
      { Name: 'image-id', Values: imageIds.slice(at, at + MOST_VALUES) },
      { Name: 'instance-state-name', Values: STATES },
    ];
    const instances = await pages(async NextToken => {
      const answer = await session.call(
        'DescribeInstances',
        { Filters, MaxResults: PAGE, NextToken },
        options,
      );
      const items = (answer.Reservations ?? []).flatMap(({ Instances = [] }) => Instances);
      return { items, next: answer.NextToken };
    });
    uses.push(...instances.map(useOf));
  }
  return uses;
}

function useOf({ ImageId = '', InstanceId = '', State, LaunchTime, Tags }: Instance): ImageUse {
  return {
    imageId: ImageId,
    kind: 'instance',
    id: InstanceId,
    detail: State?.Name,
    since: LaunchTime?.toISOString(),
    tags: fromTagList(Tags),
  };
}
