import { dockerTarget, layoutTarget } from './container-targets.js';
import { ext4ScanTarget } from './ext4-scan-target.js';
import { ext4Target } from './ext4-target.js';
import { indexTarget, pageTarget } from './manifest-targets.js';
import { dpkgTarget, rpmTarget } from './package-targets.js';
import { aclTarget, diskMapTarget, filterTarget, recordTarget } from './record-targets.js';
import { compressedTarget, tarTarget } from './tar-targets.js';
import type { Target } from './target.js';

/** All readers of bytes that may come from anywhere. */
export const TARGETS: readonly Target[] = [
  pageTarget,
  indexTarget,
  recordTarget,
  diskMapTarget,
  aclTarget,
  filterTarget,
  tarTarget,
  compressedTarget,
  ext4Target,
  ext4ScanTarget,
  layoutTarget,
  dockerTarget,
  dpkgTarget,
  rpmTarget,
];
