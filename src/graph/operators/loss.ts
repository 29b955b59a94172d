/** @file Losses. */
import type { Tensor } from "../graph.ts";
import { operators } from "../operator.ts";
import { formatShape, ShapeError } from "../shape.ts";
import { add, exp, multiply, negate } from "./elementwise.ts";
import { scatterLast } from "./indexing.ts";
import { reshape } from "./shape.ts";

export interface TokenLoss {
  /** −log p(target) per row, in nats `[rows]`. */
  readonly nll: Tensor;
  /** log Σ exp(logits) per row `[rows]`; its square is the z-loss (https://arxiv.org/abs/2204.02311). */
  readonly logSumExp: Tensor;
}

/**
 * Cross-entropy per row, not reduced: the caller weighs the rows and adds a z-loss.
 * With p = softmax(logits):  d logits = p (dNll + dLogSumExp) − onehot(target) dNll.
 *
 * @param logits `[rows, vocabulary]` @param targets int64 `[rows]`
 */
export function tokenLoss(logits: Tensor, targets: Tensor): TokenLoss {
  const [nll, logSumExp] = crossEntropy([logits, targets], {});
  return { nll: nll!, logSumExp: logSumExp! };
}

const crossEntropy = operators("crossEntropy", {
  results: 2,
  infer([logits, targets]) {
    if (logits!.rank !== 2 || targets!.dtype !== "int64" || targets!.shape[0] !== logits!.shape[0])
      throw new ShapeError(
        `expected logits [rows, vocabulary] and int64 targets [rows], got ${formatShape(logits!.shape)} and ${targets!.dtype} ${formatShape(targets!.shape)}`,
      );
    const perRow = { dtype: logits!.dtype, shape: [logits!.shape[0]!] };
    return [perRow, perRow, logits!];
  },
  emit(writer, [logits, targets]) {
    const logProbabilities = writer.node("LogSoftmax", [logits!], { axis: -1 });
    const ids = writer.node("Unsqueeze", [targets!, writer.ints([1])]);
    const pick = (rows: string) =>
      writer.node("Squeeze", [writer.node("GatherElements", [rows, ids], { axis: 1 }), writer.ints([1])]);
    const picked = pick(logProbabilities);
    return [writer.node("Neg", [picked]), writer.node("Sub", [pick(logits!), picked]), logProbabilities];
  },
  gradient([, targets], [, , logProbabilities], [dNll, dLogSumExp]) {
    const rows = targets!.shape[0]!;
    const column = (x: Tensor) => reshape(x, [rows, 1]);
    const total = dNll && dLogSumExp ? add(dNll, dLogSumExp) : (dNll ?? dLogSumExp!);
    const spread = multiply(exp(logProbabilities!), column(total));
    const dLogits = dNll ? scatterLast(spread, column(targets!), column(negate(dNll))) : spread;
    return [dLogits, null];
  },
});
