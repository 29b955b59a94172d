/** @file Names and shapes of a model's parameters, from its sizes alone. */
import { Graph, parameterShapes } from "../../graph/index.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { VQ_PREFIX } from "../tokenizers/image-tokenizer.ts";
import { codesPerImage, decodeCodes, encoder, quantize, type VqganConfig } from "../tokenizers/vqgan.ts";
import { embed, head, transformer } from "./transformer.ts";

type Shapes = ReadonlyMap<string, readonly number[]>;

/** Parameters of the language model. @throws ShapeError for sizes that do not fit together */
export function decoderParameters(config: DecoderConfig): Shapes {
  const graph = new Graph();
  const w = graph.scope();
  const x = embed(w, graph.input("tokens", "int64", [1]), config);
  // The mask does not affect the parameters, so the queries can stand for the result of attention.
  head(
    w,
    transformer(w, x, (_layer, { queries }) => queries, config),
    config,
  );
  return parameterShapes(graph);
}

/**
 * Parameters of the image tokenizer, encoder and decoder.
 * @param prefix of their names
 * @param isWhole false for the encoder and the codebook alone
 * @throws ShapeError for sizes that do not fit together
 */
export function imageTokenizerParameters(
  config: VqganConfig,
  { prefix = VQ_PREFIX, isWhole = true } = {},
): Shapes {
  const graph = new Graph();
  const w = prefix === "" ? graph.scope() : graph.scope().at(prefix);
  const pictures = graph.input("pictures", "float32", [1, 3, config.resolution, config.resolution]);
  quantize(w, encoder(w, pictures, config), config);
  if (isWhole) decodeCodes(w, graph.input("codes", "int64", [1, codesPerImage(config)]), config);
  return parameterShapes(graph);
}
