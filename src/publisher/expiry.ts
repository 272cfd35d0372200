/** As the reference system writes it: UTC, without saying so. */
const REFERENCE_TIME = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)$/;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** When an image expires, as its tag says: RFC 3339, or the reference system's form. NaN for neither. */
export function parseExpiry(text: string): number {
  const [, date, clock] = REFERENCE_TIME.exec(text) ?? [];
  if (date !== undefined && clock !== undefined) return Date.parse(`${date}T${clock}Z`);
  return RFC_3339.test(text) ? Date.parse(text) : NaN;
}

/** Whether what expires then has expired. What never does, or at no time that can be read, has not. */
export function hasExpired(expiresAt: string | undefined, now: Date): boolean {
  return expiresAt !== undefined && parseExpiry(expiresAt) <= now.getTime();
}
