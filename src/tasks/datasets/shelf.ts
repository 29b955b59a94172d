/** @file LRU cache of blocks. */

interface Kept<T> {
  readonly bytes: number;
  readonly value: Promise<T>;
}

export class Shelf<T> {
  private readonly kept = new Map<number, Kept<T>>();
  private bytes = 0;

  /** `budget` in bytes; one block is kept even if it is larger. */
  constructor(private readonly budget: number) {}

  /** The block under `key`, read if missing. A failure is not kept. */
  get(key: number, bytes: number, read: () => Promise<T>): Promise<T> {
    const held = this.kept.get(key);
    this.drop(key);
    while (this.kept.size > 0 && this.bytes + bytes > this.budget) this.drop(this.kept.keys().next().value!);
    const value = held?.value ?? read();
    if (!held) value.catch(() => this.drop(key));
    this.kept.set(key, { bytes, value });
    this.bytes += bytes;
    return value;
  }

  private drop(key: number): void {
    this.bytes -= this.kept.get(key)?.bytes ?? 0;
    this.kept.delete(key);
  }
}
