/** @file Words that were misspelt: what may have been meant. */

/**
 * Letters to insert, delete, replace, or swap with their neighbour, to turn one word into the other (optimal string
 * alignment).
 */
export function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const [row, above] = [[i], rows[i - 1]!];
    for (let j = 1; j <= b.length; j++) {
      const substituted = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? rows[i - 2]![j - 2]! + 1 : Infinity;
      row[j] = Math.min(substituted, swapped, above[j]! + 1, row[j - 1]! + 1);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** The most letters that may be wrong: as a share of the longer word, and in any word. */
const MOST_WRONG = { share: 0.5, letters: 2 };

/** The end of an error: ` (did you mean "X"?)` for the nearest of `known`, upper and lower case alike; "" if none is near. */
export function meant(word: string, known: readonly string[]): string {
  const distance = (each: string) => editDistance(word.toLowerCase(), each.toLowerCase());
  const [nearest] = [...known].sort((a, b) => distance(a) - distance(b));
  if (nearest === undefined) return "";
  const most = Math.max(MOST_WRONG.letters, MOST_WRONG.share * Math.max(word.length, nearest.length));
  return distance(nearest) <= most ? ` (did you mean "${nearest}"?)` : "";
}
