/** @file Words that were misspelt: what may have been meant. */

/** Letters to insert, delete or replace to turn one word into the other (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(substituted, above[j]! + 1, row[j - 1]! + 1);
    }
  }
  return row[b.length]!;
}

/** The one of `known`, which has at least one, that is nearest to a word, upper and lower case alike. */
export function closest(word: string, known: readonly string[]): string {
  const distance = (each: string) => editDistance(word.toLowerCase(), each.toLowerCase());
  return known.reduce((best, each) => (distance(each) < distance(best) ? each : best));
}
