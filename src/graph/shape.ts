/**
 * @file Shapes with symbolic dimensions.
 *
 * A dimension is a number, or a name such as `"batch"` whose size is known only when the graph runs. Sums and
 * products of dimensions are written out (`"past+time"`, `"batch*time"`) in a sorted form, so that two ways of
 * arriving at the same size compare equal.
 */

export type Dim = number | string;
export type Shape = readonly Dim[];

/** A mistake in the definition of a model. The message names the layer path and the shapes. */
export class ShapeError extends Error {
  override name = "ShapeError";

  constructor(
    message: string,
    /** Whether the message begins with the layer path. */
    readonly located = false,
  ) {
    super(message);
  }
}

/** The error with `place` before its message. Unchanged if it already has a place, or is not a ShapeError. */
export const locate = (error: unknown, place: string): unknown =>
  error instanceof ShapeError && !error.located ? new ShapeError(`${place}: ${error.message}`, true) : error;

export const formatShape = (shape: Shape): string => `[${shape.join(", ")}]`;

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

export function addDims(...dims: readonly Dim[]): Dim {
  return combine(dims, "+", 0, (a, b) => a + b);
}

export function multiplyDims(...dims: readonly Dim[]): Dim {
  if (dims.some((dim) => dim === 0)) return 0;
  return combine(dims, "*", 1, (a, b) => a * b);
}

/** Folds the numbers and joins them with the sorted names: `combine([2, "time", 3], "+", …)` is `"time+5"`. */
function combine(
  dims: readonly Dim[],
  sign: "+" | "*",
  unit: number,
  fold: (a: number, b: number) => number,
): Dim {
  let known = unit;
  const names: string[] = [];
  for (const dim of dims) {
    const isSum = sign === "*" && typeof dim === "string" && partsOf(dim, "+").length > 1;
    for (const part of isSum ? [`(${dim})`] : partsOf(String(dim), sign)) {
      if (/^\d+$/.test(part)) known = fold(known, Number(part));
      else names.push(part);
    }
  }
  if (names.length === 0) return known;
  if (names.length === 1 && known === unit) return names[0]!.replace(/^\((.*)\)$/, "$1");
  names.sort();
  return (known === unit ? names : [...names, String(known)]).join(sign);
}

/** The terms of a sum or the factors of a product; an expression in parentheses is one part. */
function partsOf(dim: string, sign: "+" | "*"): string[] {
  const parts = [""];
  let depth = 0;
  for (const character of dim) {
    depth += Number(character === "(") - Number(character === ")");
    if (character === sign && depth === 0) parts.push("");
    else parts[parts.length - 1] += character;
  }
  return parts;
}

/** Number of elements; a product of names if a dimension is symbolic. */
export const sizeOf = (shape: Shape): Dim => multiplyDims(...shape);

export const isKnown = (shape: Shape): shape is readonly number[] =>
  shape.every((dim) => typeof dim === "number");

/** The sizes of a shape whose dimensions are all known. @throws ShapeError with `what` needs them */
export function knownShape(shape: Shape, what: string): readonly number[] {
  if (!isKnown(shape)) throw new ShapeError(`${what}: expected known dimensions, got ${formatShape(shape)}`);
  return shape;
}

/** The non-negative position of `axis`, which may count from the end. @throws ShapeError when it is outside the rank */
export function resolveAxis(axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank)
    throw new ShapeError(`expected an axis of a rank-${rank} tensor, got ${axis}`);
  return resolved;
}

/** NumPy's broadcasting of two shapes. @throws ShapeError when they do not fit */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const da = a[i - rank + a.length] ?? 1;
    const db = b[i - rank + b.length] ?? 1;
    if (da === db || db === 1) return da;
    if (da === 1) return db;
    throw new ShapeError(`expected shapes that broadcast, got ${formatShape(a)} and ${formatShape(b)}`);
  });
}

/** Axes of `to` along which a tensor of shape `from` was repeated to broadcast. */
export function broadcastAxes(from: Shape, to: Shape): number[] {
  const offset = to.length - from.length;
  return to.flatMap((dim, i) => (i < offset || (from[i - offset] === 1 && dim !== 1) ? [i] : []));
}
