/** @file Whether the parts of a model belong together: known when it is loaded, not in the middle of a picture. */
import { VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import { embed, head, transformer } from "../chameleon/transformer.ts";
import type { Vocabulary } from "../chameleon/vocabulary.ts";
import { codesPerImage, codeVectors, decoder, encoder, quantize } from "../chameleon/vqgan.ts";
import { messageOf, XPromptError } from "../errors.ts";
import { formatShape, Graph, type Initializer, parameterShapes } from "../graph/index.ts";
import type { ModelConfig } from "./config.ts";

/** The most positions that rotary tables are made for: a broken number must not ask for the whole memory. */
const MOST_POSITIONS = 2 ** 20;

/** @throws XPromptError naming the first thing that does not fit the configuration */
export function checkParts(
  config: ModelConfig,
  vocabulary: Vocabulary,
  weights: ReadonlyMap<string, Pick<Initializer, "shape">>,
): void {
  checkVocabulary(config, vocabulary);
  checkPositions(config);
  checkWeights(config, weights);
}

function checkVocabulary({ decoder, image, xprompt }: ModelConfig, { size, imageTokens, xp }: Vocabulary) {
  if (size !== decoder.vocabularySize || imageTokens.length !== image.codes)
    throw new XPromptError(
      `loading a model: expected a tokenizer of ${decoder.vocabularySize} tokens and ${image.codes} image codes, got ${size} and ${imageTokens.length} (tokenizer.json belongs to another model)`,
    );
  if (xp.length < xprompt.tokens)
    throw new XPromptError(
      `loading a model: expected ${xprompt.tokens} XP tokens in tokenizer.json, got ${xp.length}`,
    );
}

/** Examples end before the TODO part begins, and the longest TODO part ends before the positions do. */
function checkPositions({ decoder: { maxPositions }, image, xprompt }: ModelConfig) {
  const { tokens, todoPosition, maxTextTokens } = xprompt;
  const picture = codesPerImage(image) + 2;
  const example = 1 + maxTextTokens + 2 * picture + tokens;
  const todo = 1 + maxTextTokens + 2 * picture;
  const expect = (what: string, least: number, got: number, most: number) => {
    if (got >= least && got <= most) return;
    throw new XPromptError(
      `loading a model: config.json: expected ${what} from ${least} to ${most}, got ${got} (copy the folder again)`,
    );
  };
  expect("xprompt.todo_position", example, todoPosition, MOST_POSITIONS);
  expect("max_position_embeddings", todoPosition + todo, maxPositions, MOST_POSITIONS);
}

/** Every parameter of the model must be there, in its shape, and nothing else: a number of layers may be wrong. */
function checkWeights(
  { decoder: sizes, image }: ModelConfig,
  weights: ReadonlyMap<string, Pick<Initializer, "shape">>,
) {
  const refuse = (what: string): never => {
    throw new XPromptError(
      `loading a model: ${what} (config.json and model.safetensors belong to different models, or are damaged)`,
    );
  };
  // Before a graph of that many layers is built.
  const layers = sizes.layers + image.residualBlocks;
  if (layers > weights.size) refuse(`expected weights of ${layers} layers, got ${weights.size} tensors`);
  const graph = new Graph();
  try {
    const w = graph.scope();
    const tokens = graph.input("tokens", "int64", [1]);
    // Which keys are seen is of no matter to the parameters: the queries stand for what attention gives.
    head(
      w,
      transformer(w, embed(w, tokens, sizes), (_layer, { queries }) => queries, sizes),
      sizes,
    );
    const vq = w.at(VQ_PREFIX);
    const pictures = graph.input("pictures", "float32", [1, 3, image.resolution, image.resolution]);
    quantize(vq, encoder(vq, pictures, image), image);
    decoder(vq, codeVectors(vq, graph.input("codes", "int64", [1, codesPerImage(image)]), image), image);
  } catch (error) {
    refuse(`expected sizes that fit together, got: ${messageOf(error)}`);
  }
  const shapes = parameterShapes(graph);
  for (const name of weights.keys())
    if (!shapes.has(name)) refuse(`${name}: expected no such weight, got one`);
  // Published checkpoints often have the image tokenizer's encoder alone: whoever decodes is told.
  const decodes = weights.has(`${VQ_PREFIX}.decoder.conv_in.weight`);
  for (const [name, shape] of shapes) {
    if (!decodes && name.startsWith(`${VQ_PREFIX}.decoder.`)) continue;
    const got = weights.get(name)?.shape;
    if (got?.join() !== shape.join())
      refuse(
        `${name}: expected a weight ${formatShape(shape)}, got ${got ? formatShape(got as readonly number[]) : "none"}`,
      );
  }
}
