/** @file Matrix products. */
import type { Tensor } from "../graph.ts";
import { float, MICROSOFT } from "../onnx-writer.ts";
import { operator } from "../operator.ts";
import { type Dim, formatShape, multiplyDims, type Shape, ShapeError, sameShape } from "../shape.ts";
import { reshape } from "./shape.ts";

export interface MatmulOptions {
  /** Use xᵀ (the last two axes swapped). */
  readonly transposeX?: boolean;
  /** Use yᵀ. */
  readonly transposeY?: boolean;
  /** Multiplies the product. */
  readonly scale?: number;
}

type Product = Required<MatmulOptions>;

/**
 * scale · x · y for x `[…, m, k]` and y `[…, k, n]` with equal leading dimensions, or y `[k, n]` shared by all.
 * With Y = s·X·W:  dX = s·dY·Wᵀ,  dW = s·Xᵀ·dY; a transposed operand transposes its gradient.
 */
export function matmul(
  x: Tensor,
  y: Tensor,
  { transposeX = false, transposeY = false, scale = 1 }: MatmulOptions = {},
): Tensor {
  return product([x, y], { transposeX, transposeY, scale });
}

/** x · Wᵀ for x `[…, in]` and a weight `[out, in]`, the layout of linear layers in checkpoints. */
export const linear = (x: Tensor, weight: Tensor): Tensor => matmul(x, weight, { transposeY: true });

const product = operator<Product>("matmul", {
  infer([x, y], { transposeX, transposeY }) {
    const [m, k] = lastTwo(x!, transposeX);
    const [kY, n] = lastTwo(y!, transposeY);
    const shared = y!.rank === 2 && !(transposeX && x!.rank > 2);
    if (k !== kY || !(shared || sameShape(leading(x!), leading(y!))))
      throw new ShapeError(
        `expected matrices that multiply, got ${formatShape(x!.shape)}${transposeX ? "ᵀ" : ""} and ${formatShape(y!.shape)}${transposeY ? "ᵀ" : ""}`,
      );
    return { dtype: x!.dtype, shape: [...leading(x!), m, n] };
  },
  emit(writer, inputs, { transposeX, transposeY, scale }, { inputs: [x, y] }) {
    const flags = { transA: Number(transposeX), transB: Number(transposeY), alpha: float(scale) };
    if (x!.rank === 2 && y!.rank === 2) return writer.node("Gemm", inputs, flags);
    if (!transposeX && !transposeY && scale === 1) return writer.node("MatMul", inputs);
    return writer.node("FusedMatMul", inputs, flags, MICROSOFT);
  },
  gradient([x, y], _out, dout, { transposeX, transposeY, scale }) {
    const dx = transposeX
      ? matmul(y!, dout, { transposeX: transposeY, transposeY: true, scale })
      : matmul(dout, y!, { transposeY: !transposeY, scale });
    const [rows, upstream] = y!.rank === 2 ? [x!, dout].map(flattenRows) : [x!, dout];
    const dy = transposeY
      ? matmul(upstream!, rows!, { transposeX: true, transposeY: transposeX, scale })
      : matmul(rows!, upstream!, { transposeX: !transposeX, scale });
    return [dx, dy];
  },
});

function lastTwo({ shape }: Tensor, transposed: boolean): readonly [Dim, Dim] {
  if (shape.length < 2) throw new ShapeError(`expected a matrix, got ${formatShape(shape)}`);
  const [rows, columns] = shape.slice(-2) as [Dim, Dim];
  return transposed ? [columns, rows] : [rows, columns];
}

const leading = ({ shape }: Tensor): Shape => shape.slice(0, -2);

/** `[…, n]` as `[rows, n]`. */
function flattenRows(x: Tensor): Tensor {
  return reshape(x, [multiplyDims(...x.shape.slice(0, -1)), x.shape.at(-1)!]);
}
