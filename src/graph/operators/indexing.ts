/** @file Operators that look elements up by index: embedding, gather, scatter. */
import type { Tensor } from "../graph.ts";
import { operator } from "../operator.ts";
import { formatShape, multiplyDims, resolveAxis, ShapeError, sameShape } from "../shape.ts";
import { fill } from "./elementwise.ts";
import { reshape } from "./shape.ts";

/** Rows of a table: ids (int64, any shape) of `table` `[rows, width]` → `[…ids, width]`. */
export const embedding = (ids: Tensor, table: Tensor): Tensor => lookUp([ids, table], {});
const lookUp = operator("embedding", {
  infer([ids, table]) {
    if (ids!.dtype !== "int64" || table!.rank !== 2)
      throw new ShapeError(
        `expected int64 ids and a table [rows, width], got ${ids!.dtype} and ${formatShape(table!.shape)}`,
      );
    return { dtype: table!.dtype, shape: [...ids!.shape, table!.shape[1]!] };
  },
  emit: (writer, [ids, table]) => writer.node("Gather", [table!, ids!], { axis: 0 }),
  gradient: ([ids, table], _rows, drows) => {
    const count = multiplyDims(...ids!.shape);
    const flat = reshape(drows, [count, table!.shape[1]!]);
    return [null, scatterRows(fill(table!, 0), reshape(ids!, [count, 1]), flat)];
  },
});

/** Adds `updates` `[count, width]` to the rows `ids` `[count, 1]` of `x` `[rows, width]`; repeated ids add up. */
export const scatterRows = (x: Tensor, ids: Tensor, updates: Tensor): Tensor =>
  addRows([x, ids, updates], {});
const addRows = operator("scatterRows", {
  infer([x, ids, updates]) {
    const [count] = ids!.shape;
    if (x!.rank !== 2 || ids!.dtype !== "int64" || !sameShape(ids!.shape, [count!, 1]))
      throw new ShapeError(
        `expected rows [rows, width] and int64 ids [count, 1], got ${formatShape(x!.shape)} and ${ids!.dtype} ${formatShape(ids!.shape)}`,
      );
    if (!sameShape(updates!.shape, [count!, x!.shape[1]!]))
      throw new ShapeError(`expected updates [count, ${x!.shape[1]}], got ${formatShape(updates!.shape)}`);
    return x!;
  },
  // ScatterND would take whole rows, but onnxruntime adds repeated ones from several threads in any order, so sums would
  // differ in their last bits from run to run. ScatterElements adds them in order.
  emit(writer, [x, ids, updates]) {
    const repeated = writer.node("Expand", [ids!, writer.node("Shape", [updates!])]);
    return writer.node("ScatterElements", [x!, repeated, updates!], { axis: 0, reduction: "add" });
  },
  gradient: ([, ids, updates], _y, dy) => [
    dy,
    null,
    reshape(embedding(reshape(ids!, [ids!.shape[0]!]), dy), updates!.shape),
  ],
});

/** The elements `ids` of each row: x `[…, width]`, ids int64 `[…, k]` → `[…, k]` (last axis). */
export const gatherLast = (x: Tensor, ids: Tensor): Tensor => gatherElements([x, ids], {});
const gatherElements = operator("gatherLast", {
  infer([x, ids]) {
    checkRows(x!, ids!);
    return { dtype: x!.dtype, shape: ids!.shape };
  },
  emit: (writer, inputs) => writer.node("GatherElements", inputs, { axis: -1 }),
  gradient: ([x, ids], _y, dy) => [scatterLast(fill(x!, 0), ids!, dy), null],
});

/** x with `updates` added to the elements `ids` of each row (last axis). */
export const scatterLast = (x: Tensor, ids: Tensor, updates: Tensor): Tensor =>
  addElements([x, ids, updates], {});
const addElements = operator("scatterLast", {
  infer([x, ids, updates]) {
    checkRows(x!, ids!);
    if (!sameShape(ids!.shape, updates!.shape))
      throw new ShapeError(
        `expected ids and updates of one shape, got ${formatShape(ids!.shape)} and ${formatShape(updates!.shape)}`,
      );
    return x!;
  },
  emit: (writer, inputs) => writer.node("ScatterElements", inputs, { axis: -1, reduction: "add" }),
  gradient: ([, ids], _y, dy) => [dy, null, gatherLast(dy, ids!)],
});

function checkRows(x: Tensor, ids: Tensor): void {
  const fits = x.rank > 0 && sameShape([...x.shape.slice(0, -1), ids.shape.at(-1)!], ids.shape);
  if (ids.dtype !== "int64" || !fits)
    throw new ShapeError(
      `expected int64 ids over the rows of ${formatShape(x.shape)}, got ${ids.dtype} ${formatShape(ids.shape)}`,
    );
}

/** The entries `ids` (int64 `[count]`) of `x` along `axis`. No gradient. */
export const take = (x: Tensor, ids: Tensor, axis: number): Tensor =>
  takeAlong([x, ids], { axis: resolveAxis(axis, x.rank) });
const takeAlong = operator<{ axis: number }>("take", {
  infer: ([x, ids], { axis }) => ({
    dtype: x!.dtype,
    shape: [...x!.shape.slice(0, axis), ...ids!.shape, ...x!.shape.slice(axis + 1)],
  }),
  emit: (writer, inputs, { axis }) => writer.node("Gather", inputs, { axis }),
});
