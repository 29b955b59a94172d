/** @file Sums, means and maxima along axes. Reduced axes stay, with size 1, unless `keep` is false. */
import type { Tensor } from "../graph.ts";
import { operator } from "../operator.ts";
import { knownShape, resolveAxis, ShapeError } from "../shape.ts";
import type { TensorType } from "../types.ts";
import { cast, equal, multiply } from "./elementwise.ts";
import { broadcastLike, reshape } from "./shape.ts";

interface Axes {
  readonly axes: readonly number[];
}

function reduced(x: Tensor, axes: readonly number[]): TensorType {
  return { dtype: x.dtype, shape: x.shape.map((dim, i) => (axes.includes(i) ? 1 : dim)) };
}

function reduction(
  apply: (inputs: readonly Tensor[], attributes: Axes) => Tensor,
): (x: Tensor, axes?: number | readonly number[], options?: { readonly keep?: boolean }) => Tensor {
  return (x, axes = x.shape.map((_, i) => i), { keep = true } = {}) => {
    const list = [axes].flat().map((axis) => resolveAxis(axis, x.rank));
    const result = list.length === 0 ? x : apply([x], { axes: list });
    return keep
      ? result
      : reshape(
          result,
          x.shape.filter((_, i) => !list.includes(i)),
        );
  };
}

/** Σ x along the axes. Defaults to all axes. */
export const sum = reduction(
  operator<Axes>("sum", {
    infer: ([x], { axes }) => reduced(x!, axes),
    emit: (writer, [x], { axes }) => writer.node("ReduceSum", [x!, writer.ints(axes)]),
    gradient: ([x], _y, dy) => [broadcastLike(dy, x!)],
  }),
);

/** Mean of x along the axes, whose sizes must be known. */
export const mean = reduction(
  operator<Axes>("mean", {
    infer([x], { axes }) {
      meanCount(x!, axes);
      return reduced(x!, axes);
    },
    emit: (writer, [x], { axes }) => writer.node("ReduceMean", [x!, writer.ints(axes)]),
    gradient: ([x], _y, dy, { axes }) => [broadcastLike(multiply(dy, 1 / meanCount(x!, axes)), x!)],
  }),
);
const meanCount = (x: Tensor, axes: readonly number[]): number =>
  knownShape(
    axes.map((axis) => x.shape[axis]!),
    "axes",
  ).reduce((product, size) => product * size, 1);

/** Maximum along the axes. Each of several equal maxima gets the whole gradient. */
export const max = reduction(
  operator<Axes>("max", {
    infer: ([x], { axes }) => reduced(x!, axes),
    emit: (writer, [x], { axes }) => writer.node("ReduceMax", [x!, writer.ints(axes)]),
    gradient: ([x], y, dy) => [multiply(dy, cast(equal(x!, y), "float32"))],
  }),
);

/** Index (int64) of the minimum along an axis, the first of several; the axis is removed. */
export const argMin = (x: Tensor, axis: number): Tensor =>
  argMinAlong([x], { axis: resolveAxis(axis, x.rank) });
const argMinAlong = operator<{ axis: number }>("argMin", {
  infer([x], { axis }) {
    if (x!.dtype !== "float32") throw new ShapeError(`expected float32, got ${x!.dtype}`);
    return { dtype: "int64", shape: x!.shape.filter((_, i) => i !== axis) };
  },
  emit: (writer, inputs, { axis }) => writer.node("ArgMin", inputs, { axis, keepdims: 0 }),
});
