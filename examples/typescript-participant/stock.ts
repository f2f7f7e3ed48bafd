/** What "reserve" returns. */
export interface Hold {
  readonly key: string;
  readonly product: string;
  readonly left: number;
}

/** A certain no: nothing was done. */
export class Refusal extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

/**
 * The effects, and the keys under which they were made.
 *
 * It is in memory, and so forgets both together. A real one keeps them in one database, and writes a key in the
 * transaction of its effect.
 */
export class Stock {
  readonly #left: Map<string, number>;
  /** By the Execute's key; "undone" also where it is never to be done. */
  readonly #holds = new Map<string, Hold | "undone">();

  constructor(left: Record<string, number>) {
    this.#left = new Map(Object.entries(left));
  }

  /** Holds one. Asked again under the same key, it answers as before; throws a Refusal. */
  take(key: string, product: string): Hold {
    const known = this.#holds.get(key);
    if (known === "undone") throw new Refusal("UNDONE", "its compensation came first");
    if (known !== undefined) return known;
    const left = this.#left.get(product) ?? 0;
    if (left === 0) throw new Refusal("OUT_OF_STOCK", `no ${product} left`);
    const hold = { key, product, left: left - 1 };
    this.#left.set(product, hold.left);
    this.#holds.set(key, hold);
    return hold;
  }

  /** Undoes take. It leaves a mark, so that a take that comes later is refused; again, it changes nothing. */
  giveBack(key: string): void {
    const known = this.#holds.get(key);
    if (known !== undefined && known !== "undone") {
      this.#left.set(known.product, (this.#left.get(known.product) ?? 0) + 1);
    }
    this.#holds.set(key, "undone");
  }
}
