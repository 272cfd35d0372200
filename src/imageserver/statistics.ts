/** What a server has done since it was started. */
export class Statistics {
  readonly startedAt = new Date().toISOString();
  objectsSent = 0;
  bytesSent = 0;
  objectsReceived = 0;
  bytesReceived = 0;
  /** Objects that were found damaged. */
  damaged = 0;
}
