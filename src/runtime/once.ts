/** @file A value that takes long to make. */

/** Made at the first call and kept. After a failure the next call tries again. */
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

  /** The value if it was made, or is being made now. */
  async ifMade(): Promise<T | undefined> {
    return this.made?.catch(() => undefined);
  }
}
