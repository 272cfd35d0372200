import { deleteTagsCommand } from './delete-tags.js';
import { deleteUnusedImagesCommand } from './delete-unused-images.js';
import { deleteCommand } from './delete.js';
import { expireCommand } from './expire.js';
import { iamPolicyCommand } from './iam-policy.js';
import { listImagesCommand } from './list-images.js';
import { listUnpackersCommand } from './list-unpackers.js';
import { listStreamsCommand } from './list-streams.js';
import { listUnusedImagesCommand } from './list-unused-images.js';
import { listUsedImagesCommand } from './list-used-images.js';
import { planCommand } from './plan.js';
import { promoteCommand } from './promote.js';
import { publishCommand } from './publish.js';
import { reportCommand } from './report.js';
import { resumeCommand } from './resume.js';
import { rollbackCommand } from './rollback.js';
import { runsCommand } from './runs.js';
import { prepareUnpackersCommand, startInstancesCommand } from './start-instances.js';
import { stopIdleUnpackersCommand } from './stop-idle-unpackers.js';
import { deleteTagsOnUnpackersCommand, setTagsOnUnpackersCommand } from './tags-on-unpackers.js';
import { setExclusiveTagsCommand } from './set-exclusive-tags.js';
import { verifyCommand } from './verify.js';
import { addVolumesCommand, removeUnusedVolumesCommand } from './volumes-of-unpackers.js';

export const amiPublisher = {
  name: 'ami-publisher',
  description: 'Publishes images as machine images that are identical in every target',
  commands: [
    planCommand,
    publishCommand,
    runsCommand,
    reportCommand,
    resumeCommand,
    rollbackCommand,
    listImagesCommand,
    listStreamsCommand,
    verifyCommand,
    promoteCommand,
    setExclusiveTagsCommand,
    deleteTagsCommand,
    deleteCommand,
    expireCommand,
    listUnpackersCommand,
    prepareUnpackersCommand,
    startInstancesCommand,
    stopIdleUnpackersCommand,
    addVolumesCommand,
    removeUnusedVolumesCommand,
    setTagsOnUnpackersCommand,
    deleteTagsOnUnpackersCommand,
    listUsedImagesCommand,
    listUnusedImagesCommand,
    deleteUnusedImagesCommand,
    iamPolicyCommand,
  ],
};
