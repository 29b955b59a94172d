/**
 * @file Shared parts of image token rows. In training, a row of the embedding table or the output head is a vector of
 * its own plus a linear map of its code's features, so that similar codes learn together. The sum is an ordinary table:
 * models are stored with it and need no code at inference.
 */
import { add, matmul, type Scope, type Tensor } from "../../graph/index.ts";

/** Features of every token, `[vocabulary, width]`; zeros for tokens that are not codes. */
export interface CodeFeatures {
  readonly data: Float32Array;
  readonly width: number;
}

const MAP = "code_map";

/** The table `[vocabulary, hidden]` plus the shared part of its rows. @param w the table's scope */
export function withShared(w: Scope, table: Tensor, { data, width }: CodeFeatures): Tensor {
  const [vocabulary, hidden] = table.shape as readonly [number, number];
  const features = w.graph.constant(data, [vocabulary, width]);
  return add(table, matmul(features, w.parameter(MAP, [width, hidden])));
}

interface Table {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Merges the shared parts into their tables, and drops the maps. */
export function mergeShared<W extends Table>(
  weights: ReadonlyMap<string, W>,
  { data, width }: CodeFeatures,
): Map<string, W> {
  const merged = new Map(weights);
  for (const [name, map] of weights) {
    if (!name.endsWith(`.${MAP}`)) continue;
    const tableName = `${name.slice(0, -MAP.length)}weight`;
    const table = weights.get(tableName)!;
    const rows = table.data.slice();
    const hidden = table.shape[1]!;
    for (let i = 0; i < data.length; i++) {
      const [row, feature] = [Math.floor(i / width), i % width];
      if (data[i] !== 0)
        for (let j = 0; j < hidden; j++)
          rows[row * hidden + j]! += data[i]! * map.data[feature * hidden + j]!;
    }
    merged.delete(name);
    merged.set(tableName, { ...table, data: rows });
  }
  return merged;
}
