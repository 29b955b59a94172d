/** @file Names of several pictures of one output: out-1.png, out-2.png, … */
import { resolve } from "node:path";

/** The paths of `count` pictures: `out.png`, or `out-1.png`, `out-2.png`, … */
export const numberedPaths = (path: string, count: number): string[] =>
  count === 1 ? [path] : Array.from({ length: count }, (_, i) => path.replace(/\.\w+$/, `-${i + 1}$&`));

/** Whether `numberedPaths(of, count)` has `path` for any count of two or more, on a disk that ignores case. */
export function isNumberedPath(path: string, of: string): boolean {
  const number = Number(/-([1-9]\d*)\.\w+$/.exec(path)?.[1]);
  const numbered = of.replace(/\.\w+$/, `-${number}$&`);
  return number > 0 && resolve(path).toLowerCase() === resolve(numbered).toLowerCase();
}
