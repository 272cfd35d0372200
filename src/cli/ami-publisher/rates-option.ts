import { optional } from '../option.js';

/** What plans are estimated with. */
export const ratesOption = {
  rates: optional(
    '--rates <file>',
    'prices, speeds and quotas that are to be reckoned with, in YAML; default: those of docs/publishing.md',
  ),
};

/** The rates that the option names; undefined for the usual ones. Throws `CONFIGURATION`. */
export async function ratesOf(file: string | undefined) {
  if (file === undefined) return undefined;
  const { readRates } = await import('../../publisher/rates.js');
  return readRates(file);
}
