import { ImageUnpackerError } from '../../image/error.js';
import type { AccountAccess } from './access.js';
import { AwsAccounts } from './accounts.js';
import type { Clock } from './clock.js';
import type { NamedAccount, SharedFiles } from './profiles.js';
import { namedAccounts, readSharedFiles } from './profiles.js';
import type { AwsSession } from './session.js';

/** Where the regions of an account can be asked for, whatever its partition is. */
const FIRST_REGIONS = ['us-east-1', 'cn-north-1', 'us-gov-west-1'];

/** Finds accounts and their regions. */
export class AccountDirectory {
  readonly #accounts: AwsAccounts;
  readonly #files: () => Promise<SharedFiles>;
  #known: Promise<NamedAccount[]> | undefined;

  constructor(clock?: Clock, files: () => Promise<SharedFiles> = readSharedFiles) {
    this.#accounts = new AwsAccounts(clock);
    this.#files = files;
  }

  /**
   * The accounts of the profiles; where there are none, that of the credentials at hand, by its number. Throws
   * `CONFIGURATION`, and `NO_PERMISSION` when there are no credentials at all.
   */
  accounts(signal?: AbortSignal): Promise<NamedAccount[]> {
    this.#known ??= this.#find(signal);
    return this.#known;
  }

  async #find(signal: AbortSignal | undefined): Promise<NamedAccount[]> {
    const named = namedAccounts(await this.#files());
    if (named.length > 0) return named;
    const session = await this.#enter({ accountId: undefined }, undefined, signal);
    const { Account } = await session.call('GetCallerIdentity', {}, { signal });
    return Account === undefined
      ? []
      : [{ name: Account, access: { accountId: Account }, region: undefined }];
  }

  /** The regions that are enabled for an account, by name. Throws `NO_PERMISSION` when it cannot be entered. */
  async regions(access: AccountAccess, signal?: AbortSignal): Promise<string[]> {
    const first = (await this.accounts(signal).catch(() => [])).find(
      ({ access: { profile } }) => profile !== undefined && profile === access.profile,
    )?.region;
    const session = await this.#enter(access, first, signal);
    // Without AllRegions only those that are enabled are told.
    const { Regions = [] } = await session.call('DescribeRegions', {}, { signal });
    return Regions.flatMap(({ RegionName }) => (RegionName === undefined ? [] : [RegionName])).sort();
  }

  /** A session of an account where it can be entered: a partition takes no credentials of another. */
  async #enter(
    access: AccountAccess,
    first: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<AwsSession> {
    const wanted = [first, process.env['AWS_REGION'], process.env['AWS_DEFAULT_REGION'], ...FIRST_REGIONS];
    let failure: unknown;
    for (const region of new Set(wanted.filter(each => each !== undefined && each !== ''))) {
      try {
        return await this.#accounts.session(access, region!, signal);
      } catch (reason) {
        if (!(reason instanceof ImageUnpackerError) || reason.code !== 'NO_PERMISSION') throw reason;
        failure ??= reason;
      }
    }
    throw failure;
  }
}
