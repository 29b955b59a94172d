/** @file Texts that the browser keeps. Where site data is blocked, every access throws, and nothing is kept. */

/** @param storage asked for in a function: naming it may throw */
export function recall(storage: () => Storage, name: string): string | undefined {
  try {
    return storage().getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}

export function keep(storage: () => Storage, name: string, text: string): void {
  try {
    storage().setItem(name, text);
  } catch {
    // It lasts as long as the page.
  }
}
