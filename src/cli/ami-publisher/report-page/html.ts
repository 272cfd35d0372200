import { showText } from '../../show.js';

/** A piece of HTML. Only `html` makes one, so that no text gets into a page but escaped. */
export class Html {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }

  /** As a tag of a template: what stands in it is HTML, what is put into it is text, or pieces of HTML. */
  static html(this: void, parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
    return new Html(String.raw({ raw: parts }, ...values.map(htmlOf)));
  }
}

/** What can stand in a page. */
export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[];

/** See `Html.html`. */
export const { html } = Html;

function htmlOf(value: HtmlValue): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.toString();
  if (typeof value === 'object') return value.map(htmlOf).join('');
  return showText(String(value)).replace(/[&<>"'`]/g, character => `&#${String(character.charCodeAt(0))};`);
}
