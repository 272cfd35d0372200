import type { Image } from '@aws-sdk/client-ec2';
import type { PublishedImage } from '../cloud.js';
import { rootSnapshot } from './find.js';
import { decodeFacts, DISK_FACTS, fromTagList, visibleTags } from './tags.js';

/** What an AMI of ours is to a publisher; undefined for one that is none of ours. */
export function publishedImage(image: Image): PublishedImage | undefined {
  const tags = fromTagList(image.Tags);
  const facts = decodeFacts(tags[DISK_FACTS]);
  const diskId = rootSnapshot(image);
  if (image.ImageId === undefined || diskId === undefined || facts === undefined) return undefined;
  const { State = 'available', StateReason } = image;
  const isGood = State === 'available';
  return {
    id: image.ImageId,
    diskId,
    diskSize: facts.size,
    createdAt: facts.at ?? image.CreationDate ?? new Date(0).toISOString(),
    tags: visibleTags(tags),
    boot: facts.boot,
    fault: isGood
      ? undefined
      : {
          gone: State === 'deregistered',
          message: `it is ${State}: ${StateReason?.Message ?? 'not said why'}`,
        },
  };
}
