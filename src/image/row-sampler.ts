/** @file Enlarges a small picture row by row, so that only one row of the large picture is in memory. */
import { clamp } from "../numbers.ts";
import { catmullRom } from "./resize.ts";

/** Values `[height, width, channels]`. */
interface Small {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** Four neighbours of a position and their weights by Catmull and Rom's cubic (Keys, a = −½). */
interface CubicTaps {
  readonly at: Int32Array; // [length, 4]
  readonly weights: Float32Array; // [length, 4]
}

/** Enlarges by cubic convolution; edges are extended. Pixels are squares, centred at their index + ½. */
export class RowSampler {
  private readonly across: CubicTaps;
  private readonly down: CubicTaps;
  private readonly column: Float32Array;
  private readonly result: Float32Array;
  private readonly channels: number;

  /** @param width, height size of the enlarged picture */
  constructor(
    private readonly small: Small,
    private readonly width: number,
    height: number,
  ) {
    this.channels = small.data.length / (small.width * small.height);
    this.across = cubicTaps(small.width, width);
    this.down = cubicTaps(small.height, height);
    this.column = new Float32Array(small.width * this.channels);
    this.result = new Float32Array(width * this.channels);
  }

  /** Row `y` of the enlarged picture, `[width, channels]`. The next call overwrites it. */
  row(y: number): Float32Array {
    const { column, result, channels, across, down } = this;
    const stride = this.small.width * channels;
    column.fill(0);
    for (let k = y * 4; k < y * 4 + 4; k++) {
      const [start, weight] = [down.at[k]! * stride, down.weights[k]!];
      for (let i = 0; i < stride; i++) column[i]! += weight * this.small.data[start + i]!;
    }
    for (let x = 0, to = 0; x < this.width; x++) {
      const k = x * 4;
      const a = across.at[k]! * channels;
      const b = across.at[k + 1]! * channels;
      const c = across.at[k + 2]! * channels;
      const d = across.at[k + 3]! * channels;
      for (let i = 0; i < channels; i++, to++)
        result[to] =
          across.weights[k]! * column[a + i]! +
          across.weights[k + 1]! * column[b + i]! +
          across.weights[k + 2]! * column[c + i]! +
          across.weights[k + 3]! * column[d + i]!;
    }
    return result;
  }
}

function cubicTaps(from: number, to: number): CubicTaps {
  const at = new Int32Array(to * 4);
  const weights = new Float32Array(to * 4);
  for (let i = 0; i < to; i++) {
    const position = ((i + 0.5) * from) / to - 0.5;
    const first = Math.floor(position) - 1;
    for (let k = 0; k < 4; k++) {
      at[i * 4 + k] = clamp(first + k, 0, from - 1);
      weights[i * 4 + k] = catmullRom(position - first - k);
    }
  }
  return { at, weights };
}
