/**
 * Has each piece of work done once, however many ask for it at the same time.
 *
 * The work goes on when its callers leave: a connection that breaks must not stop an effect half-way, and the command
 * comes again under the same key.
 */
export class InFlight<A> {
  readonly #running = new Map<string, Promise<A>>();

  /** Begins the work, or joins what runs under its key. It tells "began" or "joined". */
  do(key: string, tell: (what: string) => void, begin: () => Promise<A>): Promise<A> {
    const running = this.#running.get(key);
    if (running !== undefined) {
      tell("joined");
      return running;
    }
    tell("began");
    const begun = (async () => begin())().finally(() => this.#running.delete(key));
    this.#running.set(key, begun);
    return begun;
  }

  /** Resolves when nothing runs under this key, however it ends. */
  async ended(key: string): Promise<void> {
    await Promise.allSettled([this.#running.get(key)]);
  }
}
