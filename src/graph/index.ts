/**
 * The graph language: typed tensors, operators with gradients, export to ONNX.
 *
 * @module x-prompt/graph
 */
export { dataFolder, type ExportOptions, exportOnnx, parameterShapes, parametersBehind } from "./export.ts";
export { gradients } from "./gradient.ts";
export {
  type Application,
  type Gradients,
  Graph,
  type Operator,
  Scope,
  type Source,
  Tensor,
} from "./graph.ts";
export type { Initializer, OnnxWriter } from "./onnx-writer.ts";
export { operator, operators } from "./operator.ts";
export * from "./operators/attention.ts";
export * from "./operators/convolution.ts";
export * from "./operators/elementwise.ts";
export * from "./operators/indexing.ts";
export * from "./operators/loss.ts";
export * from "./operators/matmul.ts";
export * from "./operators/normalization.ts";
export * from "./operators/quantized.ts";
export * from "./operators/reduction.ts";
export * from "./operators/shape.ts";
export { peakBytes } from "./peak.ts";
export { addDims, type Dim, formatShape, multiplyDims, type Shape, ShapeError } from "./shape.ts";
export type { ConstantData, DType, TensorType } from "./types.ts";
