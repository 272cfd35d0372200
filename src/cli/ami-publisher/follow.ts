import { closeSync, openSync, writeSync } from 'node:fs';
import type { Logger } from 'pino';
import { ImageUnpackerError } from '../../image/error.js';
import type { PublishEvent } from '../../publisher/event.js';
import { toJson } from '../json.js';
import type { ProgressDisplay } from '../progress.js';
import { PublishView } from './publish-view.js';

/** Fast enough to look alive, slow enough to cost nothing. */
const REDRAW_MILLISECONDS = 200;
const LINE_MILLISECONDS = 5000;
const STANDARD_ERROR = 2;

/** Who is told of events. */
export interface Follower {
  onEvent: (event: PublishEvent) => void;
  /** Leaves the terminal clean and the file whole. */
  end(): void;
}

/** Shows a publication as it goes on, and writes its events where they are wanted. Throws `OUTPUT`. */
export function follow(
  display: ProgressDisplay | undefined,
  events: string | undefined,
  log: () => Logger,
): Follower {
  // What is standard error's cannot be the terminal's as well.
  const shown = events === '-' ? undefined : display;
  const written = events === undefined ? undefined : writeEvents(events, log);
  const drawn = shown === undefined ? undefined : draw(shown);
  return {
    onEvent: event => {
      written?.onEvent(event);
      drawn?.onEvent(event);
    },
    end: () => {
      written?.end();
      drawn?.end();
    },
  };
}

function writeEvents(path: string, log: () => Logger): Follower {
  const file = path === '-' ? STANDARD_ERROR : openFile(path);
  let failed = false;
  return {
    onEvent: event => {
      if (failed) return;
      try {
        writeSync(file, `${toJson(event)}\n`);
      } catch (reason) {
        // What is published matters more than who hears of it.
        failed = true;
        log().warn({ path, reason: String(reason) }, 'the events cannot be written any more');
      }
    },
    end: () => {
      if (file !== STANDARD_ERROR) closeSync(file);
    },
  };
}

function openFile(path: string): number {
  try {
    return openSync(path, 'a', 0o644);
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new ImageUnpackerError('OUTPUT', `Cannot write the events to ${path}: ${why}`, { path }, reason);
  }
}

function draw(display: ProgressDisplay): Follower {
  const view = new PublishView();
  let last = 0;
  const isDue = (now: number, milliseconds: number): boolean => {
    if (now - last < milliseconds) return false;
    last = now;
    return true;
  };
  return {
    onEvent: event => {
      const now = Date.parse(event.time);
      const line = view.take(event);
      if (display.kind === 'lines') {
        if (event.type === 'run') last = now;
        if (line !== undefined) display.print(line);
        else if (isDue(now, LINE_MILLISECONDS)) for (const each of view.lines(now)) display.print(each);
        return;
      }
      if (event.type === 'run' || event.type === 'note') display.line.print(line ?? '');
      if (view.run === '' || (event.type === 'progress' && !isDue(now, REDRAW_MILLISECONDS))) return;
      display.line.draw(view.table(now, display.line.width, display.line.height));
    },
    end: () => {
      if (display.kind === 'terminal') display.line.erase();
    },
  };
}
