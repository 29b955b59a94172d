/**
 * @file Checks at load time that the parts of a checkpoint fit together, so that generating cannot fail on it later.
 */
import { messageOf, XPromptError } from "../../errors.ts";
import { formatShape } from "../../graph/index.ts";
import { decoderParameters } from "../model/parameters.ts";
import type { Vocabulary } from "../tokenizers/vocabulary.ts";
import type { ChameleonConfig, DecoderConfig } from "./config.ts";

/** A weight, as far as it is checked here. */
interface Shaped {
  readonly shape: readonly unknown[];
}

/** Weights that some checkpoints contain but that are not used: rotary frequencies. */
const UNUSED = /rotary_emb\.inv_freq$/;

/**
 * Checks that the tokenizer and the language model's weights match the configuration.
 * @throws XPromptError naming the first part that does not match
 */
export function checkCheckpoint(
  config: ChameleonConfig,
  vocabulary: Vocabulary,
  weights: ReadonlyMap<string, Shaped>,
): void {
  checkVocabulary(config, vocabulary);
  checkWeights(weights, config.decoder.layers, () => decoderParameters(config.decoder));
}

function checkVocabulary({ decoder, image, vocabularyMap = {} }: ChameleonConfig, vocabulary: Vocabulary) {
  const { size, imageTokens } = vocabulary;
  if (size > decoder.vocabularySize || imageTokens.length !== image.codes)
    throw new XPromptError(
      `loading a model: expected a tokenizer of up to ${decoder.vocabularySize} tokens with ${image.codes} image codes, got ${size} with ${imageTokens.length} (tokenizer.json belongs to another model)`,
    );
  // `<image>` is Hugging Face's name of a reserved token; tokenizer.json may use either name.
  for (const [name, id] of Object.entries(vocabularyMap))
    if (name !== "<image>" && vocabulary.nameOf(id) !== name)
      throw new XPromptError(
        `loading a model: expected token ${id} to be ${name}, as the vocabulary_map in config.json says, got ${vocabulary.nameOf(id) ?? "none"} (tokenizer.json belongs to another model)`,
      );
}

/** onnxruntime receives a model with its weights as one protobuf message, which has this size limit. */
const LONGEST_MODEL = 2 ** 31 - 2 ** 20;

/**
 * Checks, before any weight is read, that a language model can run in its stored format. Quantized weights are mapped
 * from their files, so their size has no limit.
 * @throws XPromptError saying how to run a larger model
 */
export function checkSize(folder: string, config: DecoderConfig): void {
  const { hiddenSize, intermediateSize, layers, heads, keyValueHeads, vocabularySize, quantization } = config;
  if (quantization) return;
  const attention = 2 * hiddenSize + 2 * (hiddenSize / heads) * keyValueHeads;
  const rows = layers * (attention + 3 * intermediateSize) + 2 * vocabularySize;
  const bytes = rows * hiddenSize * Float32Array.BYTES_PER_ELEMENT;
  if (bytes > LONGEST_MODEL)
    throw new XPromptError(
      `loading model ${folder}: expected a language model of at most 2 GiB as float32, got ${(bytes / 2 ** 30).toFixed(1)} GiB (a larger one runs in 4 or 8 bits: xprompt convert ${folder} --quantize int4 --output DIR)`,
    );
}

/**
 * Checks that every parameter is present with its shape, and that there are no others.
 * @param layers a lower bound of the number of weights, checked before a graph with that many layers is built
 * @param shapesOf the parameters of a graph with these sizes
 * @param mayLack whether a parameter is optional
 * @throws XPromptError naming the first weight that does not match
 */
export function checkWeights(
  weights: ReadonlyMap<string, Shaped>,
  layers: number,
  shapesOf: () => ReadonlyMap<string, readonly number[]>,
  mayLack: (name: string) => boolean = () => false,
): void {
  if (layers > weights.size)
    throw mismatch(`expected weights of ${layers} layers, got ${weights.size} tensors`);
  let shapes: ReadonlyMap<string, readonly number[]>;
  try {
    shapes = shapesOf();
  } catch (error) {
    throw mismatch(`expected sizes that fit together, got: ${messageOf(error)}`);
  }
  for (const name of weights.keys())
    if (!shapes.has(name) && !UNUSED.test(name)) throw mismatch(`${name}: expected no such weight, got one`);
  for (const [name, shape] of shapes) {
    const got = weights.get(name)?.shape;
    if (got?.join() !== shape.join() && (got || !mayLack(name)))
      throw mismatch(
        `${name}: expected a weight ${formatShape(shape)}, got ${got ? formatShape(got as readonly number[]) : "none"}`,
      );
  }
}

const mismatch = (what: string): XPromptError =>
  new XPromptError(
    `loading a model: ${what} (config.json and the weights belong to different models, or are damaged)`,
  );
