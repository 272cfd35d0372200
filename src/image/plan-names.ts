import type { DirectoryMove } from './directory-moves.js';
import type { LinkableEntry } from './entry.js';
import type { Match } from './inode-match.js';
import { keyOf, parentKeyOf, pathsOf } from './inode-match.js';
import type { Operation } from './operation.js';
import { baseName, comparePaths, isBelow, joinPath, parentPath } from './path.js';
import type { Change, PlanOptions } from './plan.js';

/** What is given to `planNames`. */
export interface NamesToPlan {
  changes: readonly Change[];
  /** Inodes that are there and not as they are wanted. */
  have: readonly LinkableEntry[];
  matches: readonly Match[];
  /** Inodes that must be made. */
  made: readonly LinkableEntry[];
  /** Directories that were moved before. */
  moves: readonly DirectoryMove[];
  options: PlanOptions;
}

/** Steps 4 to 9 of a plan, and the directories whose names they change. */
export interface NamePlan {
  operations: Operation[];
  changedDirectories: ReadonlySet<string>;
}

/** Plans which names go, come and move. */
export function planNames(given: NamesToPlan): NamePlan {
  return new NamePlanner(given).plan();
}

class NamePlanner {
  readonly #given: NamesToPlan;
  readonly #operations: Operation[] = [];
  readonly #changedDirectories = new Set<string>();
  readonly #changeAt: ReadonlyMap<string, Change>;
  /** Paths that keep their inode, or from which it is fetched. */
  readonly #kept = new Set<string>();
  /** Where a matched inode is when its turn comes. */
  readonly #sources = new Map<Match, Buffer>();
  /** Whether what is new is made in the staging directory. */
  readonly #staging: boolean;
  /** Where new directories are made, by their paths; only the highest of them have to be put in their places. */
  readonly #directoriesAt = new Map<string, Buffer>();
  /** Where new inodes are made that have to be put in their places. */
  readonly #stagedAt = new Map<LinkableEntry, Buffer>();
  #staged = 0;

  constructor(given: NamesToPlan) {
    this.#given = given;
    this.#changeAt = new Map(given.changes.map(change => [keyOf(change.path), change]));
    this.#staging = given.made.filter(({ type }) => type === 'file').length >= given.options.stageFrom;
  }

  plan(): NamePlan {
    for (const { from, to } of this.#given.moves) {
      this.#touchParent(from);
      this.#touchParent(to);
    }
    for (const match of this.#given.matches) this.#hold(match);
    if (this.#staging) {
      this.#stageDirectories();
      this.#stageInodes();
    }
    this.#removeNames();
    const { replaced, vanished } = this.#directoriesThatGo();
    this.#removeDirectories(replaced);
    this.#makeDirectories();
    this.#makeInodes();
    for (const match of this.#given.matches) this.#place(match);
    this.#removeDirectories(vanished);
    return { operations: this.#withStaging(), changedDirectories: this.#changedDirectories };
  }

  /** Sees to it that an inode that stays or moves is not removed, and parks it if it is in the way. */
  #hold(match: Match): void {
    const wanted = new Set(pathsOf(match.want).map(keyOf));
    const staying = pathsOf(match.have).filter(path => wanted.has(keyOf(path)));
    for (const path of staying) this.#kept.add(keyOf(path));
    const source = staying[0] ?? match.have.path;
    this.#kept.add(keyOf(source));
    if (staying.length === 0 && this.#isInTheWay(source)) {
      const parked = this.#stagingPath();
      this.#rename(source, parked);
      this.#sources.set(match, parked);
    } else {
      this.#sources.set(match, source);
    }
  }

  /** Whether the path of an inode that moves is wanted by another, or lies below such a path. */
  #isInTheWay(path: Buffer): boolean {
    if (this.#changeAt.get(keyOf(path))?.want !== undefined) return true;
    for (let at = parentPath(path); at.length > 0; at = parentPath(at)) {
      const change = this.#changeAt.get(keyOf(at));
      if (change?.have?.type === 'directory' && change.want !== undefined && change.want.type !== 'directory')
        return true;
    }
    return false;
  }

  #removeNames(): void {
    const paths = this.#given.have.flatMap(pathsOf).filter(path => !this.#kept.has(keyOf(path)));
    for (const path of paths.sort(comparePaths)) {
      this.#operations.push({ do: 'unlink', path });
      this.#touchParent(path);
    }
  }

  /** Directories that go: those whose path something else gets, with all below them, and the others. */
  #directoriesThatGo(): { replaced: Buffer[]; vanished: Buffer[] } {
    const replaced: Buffer[] = [];
    const vanished: Buffer[] = [];
    let top: Buffer | undefined;
    for (const { path, have, want } of this.#given.changes) {
      if (have?.type !== 'directory' || want?.type === 'directory') continue;
      if (want !== undefined) top = path;
      const within = top !== undefined && (path.equals(top) || isBelow(path, top));
      (within ? replaced : vanished).push(path);
    }
    return { replaced, vanished };
  }

  #removeDirectories(paths: readonly Buffer[]): void {
    for (const path of [...paths].reverse()) {
      this.#operations.push({ do: 'remove-directory', path });
      this.#touchParent(path);
    }
  }

  /** Paths of directories that are wanted where none is, from the top. */
  #newDirectories(): Buffer[] {
    return this.#given.changes
      .filter(({ have, want }) => want?.type === 'directory' && have?.type !== 'directory')
      .map(({ path }) => path);
  }

  /** Makes new directories below the staging directory: all of them lie together then. */
  #stageDirectories(): void {
    for (const path of this.#newDirectories()) {
      const parent = this.#directoriesAt.get(parentKeyOf(path));
      const at = parent === undefined ? this.#stagingPath() : joinPath(parent, baseName(path));
      this.#directoriesAt.set(keyOf(path), at);
      this.#operations.push({ do: 'make-directory', path: at });
    }
  }

  /** Makes new inodes in the staging directory, or in the new directories that lie there. */
  #stageInodes(): void {
    for (const entry of this.#given.made) {
      const parent = this.#directoriesAt.get(parentKeyOf(entry.path));
      const path = parent === undefined ? this.#stagingPath() : joinPath(parent, baseName(entry.path));
      if (parent === undefined) this.#stagedAt.set(entry, path);
      this.#operations.push(makeOperation(entry, path));
    }
  }

  /** Sees to it that new directories are in their places, from the top. */
  #makeDirectories(): void {
    for (const path of this.#newDirectories()) {
      const at = this.#directoriesAt.get(keyOf(path));
      if (at === undefined) this.#operations.push({ do: 'make-directory', path });
      else if (!this.#directoriesAt.has(parentKeyOf(path))) {
        this.#operations.push({ do: 'rename', path: at, to: path });
      }
      this.#touchParent(path);
    }
  }

  /** Sees to it that new inodes are in their places, with all of their names. */
  #makeInodes(): void {
    for (const entry of this.#given.made) {
      const path = this.#stagedAt.get(entry);
      if (path !== undefined) this.#operations.push({ do: 'rename', path, to: entry.path });
      else if (!this.#staging) this.#operations.push(makeOperation(entry, entry.path));
      this.#touchParent(entry.path);
    }
    for (const entry of this.#given.made) for (const name of entry.names) this.#link(entry.path, name);
  }

  /** Brings an inode that is there to the paths where it is wanted. */
  #place(match: Match): void {
    const source = this.#sources.get(match)!;
    const stays = pathsOf(match.want).some(path => path.equals(source));
    if (!stays) this.#rename(source, match.want.path);
    const from = stays ? source : match.want.path;
    const present = new Set(stays ? pathsOf(match.have).map(keyOf) : [keyOf(from)]);
    for (const path of pathsOf(match.want)) {
      if (!present.has(keyOf(path))) this.#link(from, path);
    }
  }

  #rename(path: Buffer, to: Buffer): void {
    this.#operations.push({ do: 'rename', path, to });
    this.#touchParent(path);
    this.#touchParent(to);
  }

  #link(path: Buffer, to: Buffer): void {
    this.#operations.push({ do: 'link', path, to });
    this.#touchParent(to);
  }

  #stagingPath(): Buffer {
    return joinPath(this.#given.options.staging, Buffer.from(String(this.#staged++)));
  }

  #touchParent(path: Buffer): void {
    if (path.length > 0) this.#changedDirectories.add(parentKeyOf(path));
  }

  #withStaging(): Operation[] {
    const { staging } = this.#given.options;
    this.#changedDirectories.delete(keyOf(staging));
    if (this.#staged === 0) return this.#operations;
    this.#touchParent(staging);
    return [
      { do: 'make-directory', path: staging },
      ...this.#operations,
      { do: 'remove-directory', path: staging },
    ];
  }
}

function makeOperation(entry: LinkableEntry, path: Buffer): Operation {
  switch (entry.type) {
    case 'file':
      return { do: 'make-file', path, entry };
    case 'symlink':
      return { do: 'make-symlink', path, target: entry.target };
    case 'character':
    case 'block':
    case 'fifo':
    case 'socket':
      return { do: 'make-node', path, entry };
  }
}
