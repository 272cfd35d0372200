/** An answer in XML: the elements in the envelope of the operation. */
export type Xml = string;

/** Text as it stands between tags. */
export function escapeXml(text: string): string {
  return text.replace(/[<>&"]/g, each => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' })[each]!);
}

/** An element. */
export function element(name: string, content: string): Xml {
  return `<${name}>${content}</${name}>`;
}

/** An element of text; nothing without one. */
export function text(name: string, value: string | undefined): Xml {
  return value === undefined ? '' : element(name, escapeXml(value));
}

/** A list, as EC2 has it: there even when it is empty. */
export function set(name: string, items: readonly Xml[]): Xml {
  return element(name, items.map(item => element('item', item)).join(''));
}
