import type { Order } from './work.js';

/** What the agent has said and nobody has taken yet. */
export class Orders {
  readonly #waiting: Order[] = [];
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  add(order: Order): void {
    this.#waiting.push(order);
    this.#wake?.();
  }

  /** Makes `next` throw from now on. */
  fail(reason: Error): void {
    this.#failure ??= reason;
    this.#wake?.();
  }

  /** The next order, when there is one. */
  async next(): Promise<Order> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const order = this.#waiting.shift();
      if (order !== undefined) return order;
      await new Promise<void>(resolve => (this.#wake = resolve));
    }
  }
}
