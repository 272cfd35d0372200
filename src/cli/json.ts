/**
 * `value` as one line of JSON. A bigint is written as a number where a number holds it exactly, else as a
 * string of its digits; nothing at all is `null`.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value ?? null, replaceBigInt);
}

function replaceBigInt(_key: string, value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}
