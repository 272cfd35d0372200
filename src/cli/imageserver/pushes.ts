/** What becomes of what is sent to a replica. */
export const PUSHES = ['refuse', 'forward'] as const;
export type Pushes = (typeof PUSHES)[number];
