/** @file Linear equations with a small symmetric matrix. */

/** Solves `matrix` · X = `right` for a symmetric positive definite matrix, by Gauss–Jordan elimination. */
export function solve(
  matrix: readonly (readonly number[])[],
  right: readonly (readonly number[])[],
): readonly (readonly number[])[] {
  const rows = matrix.map((row, i) => [...row, ...right[i]!]);
  for (const [i, pivot] of rows.entries()) {
    const scale = pivot[i]!;
    for (let j = i; j < pivot.length; j++) pivot[j]! /= scale;
    for (const [k, row] of rows.entries()) {
      if (k === i) continue;
      const factor = row[i]!;
      for (let j = i; j < row.length; j++) row[j]! -= factor * pivot[j]!;
    }
  }
  return rows.map((row) => row.slice(matrix.length));
}
