/** @file Checks at load time that the parts of a model fit together, so that generating cannot fail on it later. */
import { checkWeights } from "../chameleon/checkpoint/check-parts.ts";
import { decoderParameters, imageTokenizerParameters } from "../chameleon/model/parameters.ts";
import { hasPictureDecoder, VQ_PREFIX } from "../chameleon/tokenizers/image-tokenizer.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { codesPerImage } from "../chameleon/tokenizers/vqgan.ts";
import { XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
import type { ModelConfig } from "./config.ts";
import { longestExample, longestTodo } from "./sequence.ts";

/** @throws XPromptError naming the first part that does not fit the configuration */
export function checkParts(
  config: ModelConfig,
  vocabulary: Vocabulary,
  weights: ReadonlyMap<string, Pick<Initializer, "shape">>,
): void {
  checkVocabulary(config, vocabulary);
  checkPositions(config);
  checkOwnWeights(config, weights);
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

/** The longest example must end before the TODO part begins, and the longest TODO part within the position limit. */
function checkPositions({ decoder: { maxPositions }, image, xprompt }: ModelConfig) {
  const codes = codesPerImage(image);
  const { todoPosition } = xprompt;
  const expect = (what: string, least: number, got: number) => {
    if (got >= least) return;
    throw new XPromptError(
      `loading a model: config.json: expected ${what} of at least ${least}, got ${got} (copy the folder again)`,
    );
  };
  expect("xprompt.todo_position", longestExample(xprompt, codes), todoPosition);
  expect("max_position_embeddings", todoPosition + longestTodo(xprompt, codes), maxPositions);
}

function checkOwnWeights(
  { decoder, image }: ModelConfig,
  weights: ReadonlyMap<string, Pick<Initializer, "shape">>,
): void {
  // Published checkpoints often lack the decoder of the image tokenizer. Decoding a picture reports that.
  const decodes = hasPictureDecoder(weights);
  checkWeights(
    weights,
    decoder.layers + image.residualBlocks,
    () => new Map([...decoderParameters(decoder), ...imageTokenizerParameters(image)]),
    (name) => !decodes && name.startsWith(`${VQ_PREFIX}.decoder.`),
  );
}
