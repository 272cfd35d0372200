import { ImageUnpackerError } from '../image/error.js';

/** A stream that a program writes to: standard output, standard error. */
export interface Output {
  write(text: string, done: (error?: Error | null) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** How many columns an output has; some terminals do not know theirs and say 0. */
export function columnsOf({ columns = 0 }: Output): number {
  return columns > 0 ? columns : 80;
}

/** How many rows an output has. */
export function rowsOf({ rows = 0 }: Output): number {
  return rows > 0 ? rows : 24;
}

/**
 * Writes `text` and waits until the system has it. A reader that has gone (`| head`) has seen enough,
 * which is no error; whatever else goes wrong throws `OUTPUT`.
 */
export async function writeAll(output: Output, text: string): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      output.write(text, error => {
        if (error) reject(error);
        else resolve();
      });
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ImageUnpackerError('OUTPUT', `Writing the result failed: ${reason}`, {}, error);
  }
}

/** How many characters are written together. */
const TOGETHER = 65_536;

/** Writes pieces of a text and the end of its line; nothing if they are empty. Throws as `writeAll` does. */
export async function writePieces(output: Output, pieces: Iterable<string>): Promise<void> {
  let text = '';
  let isEmpty = true;
  for (const piece of pieces) {
    text += piece;
    isEmpty &&= piece === '';
    if (text.length < TOGETHER) continue;
    await writeAll(output, text);
    text = '';
  }
  if (!isEmpty) await writeAll(output, `${text}\n`);
}
