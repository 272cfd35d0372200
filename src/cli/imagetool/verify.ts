import type { ImageFault, Verification } from '../../store/verify.js';
import { command } from '../command.js';
import { EXIT_CODES } from '../exit-code.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument } from '../option.js';
import { showCountOf, showSize, showText } from '../show.js';

/** What `verify` found. */
interface VerifiedImage extends Verification {
  ok: boolean;
  /** Whether to build the same content again mends what is missing or damaged. */
  mendable: boolean;
}

export const verifyCommand = command({
  name: 'verify',
  summary: 'Read and check everything that an image is made of',
  details: `Exits with 1 when something is missing or damaged, and says what needs it. Of what is damaged it takes
note in the store, so that to build the same content again stores it anew.`,
  arguments: { name: argument('the image') },
  options: storeOptions,
  run: async ({ options, args, signal, progress }) => {
    const { findImage } = await import('../../store/find-image.js');
    const { noteFaults } = await import('../../store/note-damage.js');
    const { verifyImage } = await import('../../store/verify.js');
    return withStore(options, signal, async (store): Promise<VerifiedImage> => {
      const verification = await verifyImage(store, await findImage(store, args.name), { signal, progress });
      const { faults } = verification;
      return { ...verification, ok: faults.length === 0, mendable: await noteFaults(store, faults) };
    });
  },
  show: showVerification,
  exitCode: ({ ok }) => (ok ? EXIT_CODES.done : EXIT_CODES.failed),
});

function showVerification({ name, objects, bytes, faults, mendable }: VerifiedImage): string {
  const read = `${showCountOf(objects, 'object')} of ${showSize(bytes)} read`;
  if (faults.length === 0) return `${showText(name)} is good: ${read}`;
  return [
    ...faults.flatMap(showFault),
    `${showText(name)} is not good: ${showCountOf(faults.length, 'fault')}; ${read}`,
    mendable
      ? 'To build the same content again, under another name, mends what is missing or damaged'
      : 'The store cannot be written to, so no note was taken of what is damaged: verify it as its owner',
  ].join('\n');
}

function showFault({ kind, digest, state, why, neededBy }: ImageFault): string[] {
  const what = kind === 'data' ? 'object' : kind;
  const reason = why === undefined ? '' : `: ${showText(why)}`;
  return [
    `${what} ${digest} is ${state}${reason}; needed by`,
    ...neededBy.map(each => `  ${showText(each)}`),
  ];
}
