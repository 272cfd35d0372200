import * as v from 'valibot';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** A time as records have it: RFC 3339, in UTC with milliseconds. */
export const time = v.pipe(v.string(), v.regex(TIME), v.check(isTime, 'is no time'));

/** Whether there is such a time: Date.parse takes the 31st of February for the third of March. */
function isTime(text: string): boolean {
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && time.getUTCDate() === Number(text.slice(8, 10));
}
