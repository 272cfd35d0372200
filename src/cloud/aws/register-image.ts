import type { Image, RegisterImageCommandInput, Snapshot } from '@aws-sdk/client-ec2';
import { ImageUnpackerError } from '../../image/error.js';
import type { Tags } from '../cloud.js';
import { TAG } from '../cloud.js';
import { isAnswer } from './fault.js';
import { findImage, imagesOfSnapshot } from './find.js';
import { amiName } from './image-name.js';
import type { AwsSession } from './session.js';
import type { AwsImageSettings } from './settings.js';
import type { DiskFacts } from './tags.js';
import { DISK_FACTS, encodeFacts, MANAGED_BY, toTagList, UNFINISHED } from './tags.js';
import { waitFor } from './wait.js';

const DEADLINE_SECONDS = 300;
const GIB = 2n ** 30n;

/** What an image is made of. */
export interface Registration {
  readonly snapshot: Snapshot;
  readonly facts: DiskFacts;
  readonly tags: Tags;
  readonly settings: AwsImageSettings;
  readonly target: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Registers an image, or finds the one that was registered when the answer was lost, and waits until it is there.
 * It is marked as not finished. Throws `IMAGE_EXISTS` when its name is another image's, `CLOUD_FAILED`.
 */
export async function registerImage(session: AwsSession, registration: Registration): Promise<Image> {
  const { snapshot, target, signal } = registration;
  const [known] = await imagesOfSnapshot(session, snapshot.SnapshotId!, { signal });
  const id = known?.ImageId ?? (await register(session, registration));
  const what = `the image ${id} to be available`;
  return waitFor(session, { what, deadlineSeconds: DEADLINE_SECONDS, target, signal }, async () => {
    const image = await findImage(session, id, { signal });
    if (image?.State === 'available') return image;
    if (image !== undefined && /^(failed|error|invalid)$/.test(image.State ?? '')) {
      const why = image.StateReason?.Message ?? 'it is not said why';
      throw new ImageUnpackerError('CLOUD_FAILED', `AWS refused the image ${id} in ${target}: ${why}`, {
        target,
      });
    }
    return undefined;
  });
}

async function register(session: AwsSession, registration: Registration): Promise<string> {
  const { snapshot, target, signal } = registration;
  const at = new Date(session.clock.now()).toISOString();
  const input = registrationInput({ ...registration, facts: { ...registration.facts, at } });
  try {
    const { ImageId } = await session.call('RegisterImage', input, { signal });
    if (ImageId !== undefined) return ImageId;
  } catch (reason) {
    if (!isAnswer(reason, /^InvalidAMIName\.Duplicate$/)) throw reason;
    // An answer of ours may have been lost; else the name is somebody else's.
    const [image] = await imagesOfSnapshot(session, snapshot.SnapshotId!, { signal });
    if (image?.ImageId !== undefined) return image.ImageId;
    const message = `The name ${input.Name!} in ${target} is another image's: ${reason.fault.message}; delete that, or publish under another name`;
    throw new ImageUnpackerError('IMAGE_EXISTS', message, { target }, reason);
  }
  throw new ImageUnpackerError('CLOUD_FAILED', `AWS registered an image in ${target} and did not say which`, {
    target,
  });
}

/** What RegisterImage is asked for. */
export function registrationInput({
  snapshot,
  facts,
  tags,
  settings,
}: Pick<Registration, 'snapshot' | 'facts' | 'tags' | 'settings'>): RegisterImageCommandInput {
  const { boot, size } = facts;
  const architecture = boot?.architecture ?? settings.architecture;
  const bootMode = boot?.bootMode ?? settings.bootMode;
  const rootDevice = boot?.rootDevice ?? '/dev/xvda';
  const gib = Math.max(Number((size + GIB - 1n) / GIB), settings.rootSize ?? 0);
  const own = { ...tags, [MANAGED_BY.key]: MANAGED_BY.value, [DISK_FACTS]: encodeFacts(facts) };
  return {
    Name: amiName(tags[TAG.imageName] ?? snapshot.SnapshotId!),
    Description: tags[TAG.imageName],
    Architecture: architecture as 'x86_64' | 'arm64',
    BootMode: bootMode as 'uefi' | 'legacy-bios' | 'uefi-preferred',
    RootDeviceName: rootDevice,
    VirtualizationType: 'hvm',
    EnaSupport: true,
    SriovNetSupport: 'simple',
    ...(settings.imds === 'v2' ? { ImdsSupport: 'v2.0' as const } : {}),
    // A TPM needs UEFI (RegisterImage).
    ...(settings.tpm && bootMode !== 'legacy-bios' ? { TpmSupport: 'v2.0' as const } : {}),
    BlockDeviceMappings: [
      {
        DeviceName: rootDevice,
        Ebs: {
          SnapshotId: snapshot.SnapshotId!,
          VolumeSize: gib,
          VolumeType: 'gp3',
          ...(settings.iops === undefined ? {} : { Iops: settings.iops }),
          ...(settings.throughput === undefined ? {} : { Throughput: settings.throughput }),
          DeleteOnTermination: true,
        },
      },
    ],
    TagSpecifications: [{ ResourceType: 'image', Tags: toTagList({ ...own, [UNFINISHED]: 'true' }) }],
  };
}
