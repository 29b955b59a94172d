/** @file A value that is expensive to compute. */

/** Computed at the first call and kept. After a failure the next call tries again. */
export class Once<T> {
  private made: Promise<T> | undefined;

  constructor(private readonly make: () => Promise<T>) {}

  get(): Promise<T> {
    this.made ??= this.make().catch((error: unknown) => {
      this.made = undefined;
      throw error;
    });
    return this.made;
  }

  /** The value, if it was computed or is being computed. */
  async ifMade(): Promise<T | undefined> {
    return this.made?.catch(() => undefined);
  }
}
