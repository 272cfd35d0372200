/** Whose account is entered, and how. */
export interface AccountAccess {
  /** Twelve digits; undefined when it is whoever the credentials belong to. */
  readonly accountId: string | undefined;
  /** A profile of the SDK's files that gives the credentials; default: as the SDK finds them. */
  readonly profile?: string | undefined;
  /** The role that is taken on there. */
  readonly role?: string | undefined;
  readonly externalId?: string | undefined;
  readonly sessionName?: string | undefined;
}
