/** @file Operators that rearrange elements: reshape, transpose, slice, split, concatenate, pad, broadcast. */
import type { Tensor } from "../graph.ts";
import { operator, operators } from "../operator.ts";
import {
  addDims,
  broadcastAxes,
  broadcastShapes,
  type Dim,
  formatShape,
  isKnown,
  knownShape,
  resolveAxis,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
} from "../shape.ts";
import type { TensorType } from "../types.ts";
import { fill } from "./elementwise.ts";
import { sum } from "./reduction.ts";

/** The same elements, in the same order, under another shape. At most one dimension may be new and symbolic. */
export const reshape = (x: Tensor, shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : reshapeTo([x], { shape });
const reshapeTo = operator<{ shape: Shape }>("reshape", {
  infer([x], { shape }) {
    if (sizeOf(x!.shape) !== sizeOf(shape))
      throw new ShapeError(
        `expected as many elements as ${formatShape(x!.shape)}, got ${formatShape(shape)}`,
      );
    if (!isTellable(x!.shape, shape))
      throw new ShapeError(
        `expected at most one new symbolic dimension in ${formatShape(shape)}, reshaping ${formatShape(x!.shape)}`,
      );
    return { dtype: x!.dtype, shape };
  },
  emit: (writer, [x], { shape }, { inputs: [from] }) =>
    writer.node("Reshape", [x!, writer.ints(reshapeTarget(from!.shape, shape))]),
  gradient: ([x], _y, dy) => [
    isTellable(dy.shape, x!.shape) ? reshape(dy, x!.shape) : reshapeLike([dy, x!], {}),
  ],
});

/** The inverse of a reshape that joined several symbolic dimensions: the shape is read when the graph runs. */
const reshapeLike = operator("reshapeLike", {
  infer: ([x, like]) => ({ dtype: x!.dtype, shape: like!.shape }),
  emit: (writer, [x, like]) => writer.node("Reshape", [x!, writer.node("Shape", [like!])]),
  gradient: ([x], _y, dy) => [reshape(dy, x!.shape), null],
});

/** A shape for ONNX's Reshape: 0 keeps the size of the same axis, −1 is computed from the others. */
const reshapeTarget = (from: Shape, to: Shape): number[] =>
  to.map((dim, i) => (typeof dim === "number" ? dim : from[i] === dim ? 0 : -1));

const isTellable = (from: Shape, to: Shape): boolean =>
  reshapeTarget(from, to).filter((dim) => dim === -1).length <= 1;

/** Axes in another order: axis `i` of the result is axis `order[i]` of `x`. */
export const transpose = (x: Tensor, order: readonly number[]): Tensor => permute([x], { order });
const permute = operator<{ order: readonly number[] }>("transpose", {
  infer([x], { order }) {
    if (
      order.length !== x!.rank ||
      new Set(order).size !== x!.rank ||
      order.some((axis) => !(axis in x!.shape))
    )
      throw new ShapeError(`expected an order of ${x!.rank} axes, got [${order}]`);
    return { dtype: x!.dtype, shape: order.map((axis) => x!.shape[axis]!) };
  },
  emit: (writer, inputs, { order }) => writer.node("Transpose", inputs, { perm: order }),
  gradient: (_inputs, _y, dy, { order }) => [
    transpose(
      dy,
      order.map((_, axis) => order.indexOf(axis)),
    ),
  ],
});

/** Repeats `x` along missing axes and axes of size 1 to the given shape. */
export const broadcastTo = (x: Tensor, shape: readonly number[]): Tensor =>
  sameShape(x.shape, shape) ? x : expandTo([x], { shape });
const expandTo = operator<{ shape: readonly number[] }>("broadcastTo", {
  infer: ([x], { shape }) => expanded(x!, shape),
  emit: (writer, [x], { shape }) => writer.node("Expand", [x!, writer.ints(shape)]),
  gradient: ([x], _y, dy) => [sumTo(x!, dy)],
});

/** Broadcasts to the shape of `like`, which may be symbolic. */
export const broadcastLike = (x: Tensor, like: Tensor): Tensor =>
  isKnown(like.shape) ? broadcastTo(x, like.shape) : expandLike([x, like], {});
const expandLike = operator("broadcastLike", {
  infer: ([x, like]) => expanded(x!, like!.shape),
  emit: (writer, [x, like]) => writer.node("Expand", [x!, writer.node("Shape", [like!])]),
  gradient: ([x], _y, dy) => [sumTo(x!, dy), null],
});

function expanded({ dtype, shape: from }: Tensor, shape: Shape): TensorType {
  if (sameShape(broadcastShapes(from, shape), shape)) return { dtype, shape };
  throw new ShapeError(`expected a shape that broadcasts to ${formatShape(shape)}, got ${formatShape(from)}`);
}

/** The gradient of a broadcast: `dy` summed over the axes along which `x` was repeated, in the shape of `x`. */
export function sumTo(x: Tensor, dy: Tensor): Tensor {
  const axes = broadcastAxes(x.shape, dy.shape);
  return axes.length === 0 ? dy : reshape(sum(dy, axes), x.shape);
}

/** A new axis of size `count` at `axis`, along which `x` is repeated. */
export function repeat(x: Tensor, axis: number, count: number): Tensor {
  const at = resolveAxis(axis, x.rank + 1);
  const single = reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
  return count === 1 ? single : tile([single], { axis: at, count });
}
const tile = operator<{ axis: number; count: number }>("repeat", {
  infer: ([x], { axis, count }) => ({
    dtype: x!.dtype,
    shape: x!.shape.map((dim, i) => (i === axis ? count : dim)),
  }),
  emit: (writer, [x], { axis, count }, { inputs: [from] }) =>
    writer.node("Expand", [x!, writer.ints(from!.shape.map((_, i) => (i === axis ? count : 1)))]),
  gradient: (_inputs, _y, dy, { axis }) => [sum(dy, axis)],
});

/** Elements `start`, `start + step`, … below `end` along an axis of known size; negative numbers count from the end. */
export function slice(x: Tensor, axis: number, start: number, end: number, step = 1): Tensor {
  const at = resolveAxis(axis, x.rank);
  const size = x.shape[at]!;
  if (typeof size !== "number") return sliceOf([x], { axis: at, start, end, step });
  const from = start < 0 ? start + size : start;
  const to = Math.min(end < 0 ? end + size : end, size);
  return from === 0 && to === size && step === 1 ? x : sliceOf([x], { axis: at, start: from, end: to, step });
}
interface Slice {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}
const sliceOf = operator<Slice>("slice", {
  infer([x], { axis, start, end, step }) {
    const shape = [...x!.shape];
    const size = shape[axis]!;
    if (typeof size === "number" && !(start >= 0 && start < end && end <= size && step >= 1))
      throw new ShapeError(
        `expected a range within ${size} at axis ${axis}, got ${start}…${end} step ${step}`,
      );
    if (typeof size !== "number" && Math.sign(start || 1) !== Math.sign(end))
      throw new ShapeError(
        `expected both ends of a symbolic axis counted from the same side, got ${start}…${end}`,
      );
    shape[axis] = Math.ceil((end - start) / step);
    return { dtype: x!.dtype, shape };
  },
  emit: (writer, [x], { axis, start, end, step }) =>
    writer.node("Slice", [x!, ...[[start], [end], [axis], [step]].map((value) => writer.ints(value))]),
  gradient([x], _y, dy, { axis, start, end, step }) {
    const size = knownShape([x!.shape[axis]!], "gradient of slice")[0]!;
    const spread = step === 1 ? dy : dilate(dy, axis, step);
    const covered = step === 1 ? end - start : Math.ceil((end - start) / step) * step;
    const fitted = covered > size - start ? slice(spread, axis, 0, size - start) : spread;
    return [pad(fitted, axis, start, Math.max(0, size - start - covered))];
  },
});

/** Inserts `step − 1` zeros after every element along an axis. */
function dilate(x: Tensor, axis: number, step: number): Tensor {
  const spaced = pad(
    reshape(x, [...x.shape.slice(0, axis + 1), 1, ...x.shape.slice(axis + 1)]),
    axis + 1,
    0,
    step - 1,
  );
  return reshape(
    spaced,
    x.shape.map((dim, i) => (i === axis ? (dim as number) * step : dim)),
  );
}

/** `before` and `after` zeros around the elements along an axis. */
export const pad = (x: Tensor, axis: number, before: number, after: number): Tensor =>
  before === 0 && after === 0 ? x : padded([x], { axis: resolveAxis(axis, x.rank), before, after });
const padded = operator<{ axis: number; before: number; after: number }>("pad", {
  infer: ([x], { axis, before, after }) => ({
    dtype: x!.dtype,
    shape: x!.shape.map((dim, i) => (i === axis ? addDims(dim, before + after) : dim)),
  }),
  emit(writer, [x], { axis, before, after }, { inputs: [from] }) {
    const pads = [before, after].flatMap((count) => from!.shape.map((_, i) => (i === axis ? count : 0)));
    return writer.node("Pad", [x!, writer.ints(pads)]);
  },
  gradient([x], _y, dy, { axis, before }) {
    const size = knownShape([x!.shape[axis]!], "gradient of pad")[0]!;
    return [slice(dy, axis, before, before + size)];
  },
});

/** Joins tensors along an axis. */
export const concat = (tensors: readonly Tensor[], axis: number): Tensor =>
  tensors.length === 1 ? tensors[0]! : join(tensors, { axis: resolveAxis(axis, tensors[0]!.rank) });
const join = operator<{ axis: number }>("concat", {
  infer(tensors, { axis }): TensorType {
    const [{ dtype, shape }] = tensors as readonly [Tensor];
    for (const other of tensors)
      if (other.dtype !== dtype || !sameShape(withoutAxis(other.shape, axis), withoutAxis(shape, axis)))
        throw new ShapeError(
          `expected shapes that are equal except at axis ${axis}, got ${tensors.map((tensor) => formatShape(tensor.shape)).join(", ")}`,
        );
    const total = addDims(...tensors.map((tensor) => tensor.shape[axis]!));
    return { dtype, shape: shape.map((dim, i) => (i === axis ? total : dim)) };
  },
  emit: (writer, inputs, { axis }) => writer.node("Concat", inputs, { axis }),
  gradient: (tensors, _y, dy, { axis }) =>
    split(
      dy,
      axis,
      knownShape(
        tensors.map((tensor) => tensor.shape[axis]!),
        "gradient of concat",
      ),
    ),
});

const withoutAxis = (shape: Shape, axis: number): readonly Dim[] => shape.filter((_, i) => i !== axis);

/** Splits a tensor into parts of the given sizes along an axis. */
export const split = (x: Tensor, axis: number, sizes: readonly number[]): readonly Tensor[] =>
  sizes.length === 1 ? [x] : cut([x], { axis: resolveAxis(axis, x.rank), sizes });
const cut = operators<{ axis: number; sizes: readonly number[] }>("split", {
  infer([x], { axis, sizes }) {
    if (addDims(...sizes) !== x!.shape[axis])
      throw new ShapeError(`expected sizes adding up to ${x!.shape[axis]} at axis ${axis}, got [${sizes}]`);
    return sizes.map((size) => ({
      dtype: x!.dtype,
      shape: x!.shape.map((dim, i) => (i === axis ? size : dim)),
    }));
  },
  emit: (writer, [x], { axis, sizes }) =>
    writer.nodeOutputs("Split", [x!, writer.ints(sizes)], sizes.length, { axis }),
  gradient: (_inputs, parts, upstream, { axis }) => [
    concat(
      parts.map((part, i) => upstream[i] ?? fill(part, 0)),
      axis,
    ),
  ],
});
