/** @file Whether the parts of a model belong together: known when it is loaded, not in the middle of a picture. */
import { checkWeights } from "../chameleon/check-parts.ts";
import { VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import { decoderParameters, imageTokenizerParameters } from "../chameleon/parameters.ts";
import type { Vocabulary } from "../chameleon/vocabulary.ts";
import { codesPerImage } from "../chameleon/vqgan.ts";
import { XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
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

function checkOwnWeights(
  { decoder, image }: ModelConfig,
  weights: ReadonlyMap<string, Pick<Initializer, "shape">>,
): void {
  // Published checkpoints often have the image tokenizer's encoder alone: whoever decodes is told.
  const decodes = weights.has(`${VQ_PREFIX}.decoder.conv_in.weight`);
  checkWeights(
    weights,
    decoder.layers + image.residualBlocks,
    () => new Map([...decoderParameters(decoder), ...imageTokenizerParameters(image)]),
    (name) => !decodes && name.startsWith(`${VQ_PREFIX}.decoder.`),
  );
}
