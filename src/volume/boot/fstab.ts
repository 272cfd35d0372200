/*
 * fstab(5): what is mounted where. The image's own stays as it is when it says anything; one that has only comments,
 * as a fresh root file system of Debian does, says nothing.
 */

/** What a disk is made of, as fstab names it. */
export interface DiskPartitions {
  /** GUIDs of the partitions. */
  root: string;
  esp: string;
  /** UUID of the root file system. */
  uuid: string;
}

interface Line {
  source: string;
  target: string;
}

function linesOf(text: string): Line[] {
  return text
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(
      ([source, target]) =>
        source !== undefined && source !== '' && !source.startsWith('#') && target !== undefined,
    )
    .map(([source, target]) => ({ source: source!, target: target! }));
}

/** Whether an fstab says anything. */
export function saysAnything(text: string): boolean {
  return linesOf(text).length > 0;
}

/** Whether an fstab has a line for the root. */
export function hasRoot(text: string): boolean {
  return linesOf(text).some(({ target }) => target === '/');
}

/** What an fstab wants to be mounted that the disk has not. */
export function missingSources(text: string, { root, esp, uuid }: DiskPartitions): string[] {
  const known = [`UUID=${uuid}`, `PARTUUID=${root}`, `PARTUUID=${esp}`, 'PARTLABEL=root', 'PARTLABEL=esp'];
  const isKnown = (source: string): boolean =>
    !/^(?:UUID|PARTUUID|LABEL|PARTLABEL)=/.test(source) ||
    known.some(each => each.toLowerCase() === plain(source));
  return linesOf(text)
    .map(({ source }) => source)
    .filter(source => !isKnown(source));
}

function plain(source: string): string {
  return source.replaceAll('"', '').toLowerCase();
}

/** The disk that the root of an fstab lies on, when it says so by the name of a node: `/dev/xvda`. */
export function rootDisk(text: string): string | undefined {
  const source = linesOf(text).find(({ target }) => target === '/')?.source ?? '';
  return diskOfNode(source);
}

/** The disk of a partition by the names of their nodes; undefined for other names. */
export function diskOfNode(node: string): string | undefined {
  const [, plainDisk, numbered] =
    /^\/dev\/(?:((?:sd|xvd|vd)[a-z]+)\d*|(nvme\d+n\d+)(?:p\d+)?)$/.exec(node) ?? [];
  const disk = plainDisk ?? numbered;
  return disk === undefined ? undefined : `/dev/${disk}`;
}

/** An fstab for a disk; the ESP is in it where the image has a place for it. */
export function makeFstab({ root, esp }: DiskPartitions, espDirectory: string | undefined): string {
  const lines = [
    '# What is mounted where: see fstab(5). Made by image-unpacker.',
    `PARTUUID=${root} / ext4 defaults 0 1`,
  ];
  if (espDirectory !== undefined) lines.push(`PARTUUID=${esp} ${espDirectory} vfat umask=0077,nofail 0 0`);
  return `${lines.join('\n')}\n`;
}
