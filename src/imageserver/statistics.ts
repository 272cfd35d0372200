/** What a server has done since it was started. */
export class Statistics {
  readonly startedAt = new Date().toISOString();
  objectsSent = 0;
  bytesSent = 0;
  objectsReceived = 0;
  bytesReceived = 0;
  /** Objects that were found damaged, and those of them that were mended. */
  damaged = 0;
  healed = 0;
}
