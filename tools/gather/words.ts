/** @file Readable words from the names of files and icons. */

/** `eiffelTower2`, `polar_bear`, `red-apple` → `eiffel tower`, `polar bear`, `red apple`. */
export function wordsOf(name: string): string {
  return name
    .slice(name.lastIndexOf("/") + 1)
    .replace(/(?<=[a-z])(?=[A-Z])/g, " ")
    .replace(/[_\-\s]+/g, " ")
    .replace(/(?<=[a-z])[ ]?\d+[a-z]?$/i, "")
    .trim()
    .toLowerCase();
}
