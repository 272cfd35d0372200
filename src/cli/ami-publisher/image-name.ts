/** The image of a stream that is meant by its leaf, or by `@` and a channel of the stream. */
export function imageNameOf(stream: string, leaf: string): string {
  return leaf.startsWith('@') ? `${stream}${leaf}` : `${stream}/${leaf}`;
}
