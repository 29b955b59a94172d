/**
 * @file Converts a VQGAN with few normalization groups to an equivalent one with 32, the only number in `transformers`.
 *
 * Every hidden layer is made 32 / groups times as wide. Each of g groups normalizes c / g channels; so does each of the
 * 32 groups of the wider network, whose first g groups are the original ones. The weights, biases and gains of the
 * added channels are zero, so that these channels are zero after every layer. Attention divides its scores by the
 * square root of the channels; the weights of the queries compensate for it, exactly if 32 / groups is the square of a
 * power of two.
 */
import { XPromptError } from "../../errors.ts";
import { product } from "../../numbers.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";

/** Groups of every normalization in the published image tokenizer and in `transformers`. */
const GROUPS = 32;

/** The ends of the network; their channels are pixels or latents and keep their number. */
const SAME_INPUT = /^(encoder|decoder)\.conv_in\.weight$/;
const SAME_OUTPUT = /^(encoder|decoder)\.conv_out\./;
const HIDDEN = /^(encoder|decoder)\./;
/** Of the attention in the middle, and of that after the blocks of a level. */
const QUERY = /\.attn(_1|\.\d+)\.q\./;

/** Relative width of the network with 32 groups. @throws XPromptError when there is no such network */
export function widening({ normGroups }: VqganConfig): number {
  const times = GROUPS / normGroups;
  if (Number.isInteger(times)) return times;
  throw new XPromptError(
    `exporting an image tokenizer: expected norms of 1, 2, 4, 8, 16 or ${GROUPS} groups, got ${normGroups} (transformers supports ${GROUPS} only; other numbers cannot be converted to it)`,
  );
}

/** Whether the weight in the wider network needs more digits than 16 bits hold. */
export const needsDigits = (name: string, times: number): boolean =>
  QUERY.test(name) && !Number.isInteger(Math.log2(times) / 2);

/** The sizes of the wider network. */
export const widenedConfig = (config: VqganConfig, times: number): VqganConfig => ({
  ...config,
  baseChannels: config.baseChannels * times,
  normGroups: config.normGroups * times,
});

/** Shape of a weight in the wider network. @param name without the image tokenizer's prefix */
export function widenedShape(name: string, shape: readonly number[], times: number): readonly number[] {
  if (times === 1 || !HIDDEN.test(name)) return shape;
  const [outputs, inputs, ...kernel] = shape;
  const wider = outputs! * (SAME_OUTPUT.test(name) ? 1 : times);
  if (inputs === undefined) return [wider];
  return [wider, inputs * (SAME_INPUT.test(name) ? 1 : times), ...kernel];
}

/** A weight of the wider network, with the shape of `widenedShape`. */
export function widened(
  name: string,
  { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array },
  times: number,
): Float32Array {
  const wider = widenedShape(name, shape, times);
  if (wider === shape) return data;
  const scale = QUERY.test(name) ? Math.sqrt(times) : 1;
  const row = data.length / shape[0]!; // numbers per output channel, without the added inputs
  const widerRow = product(wider.slice(1));
  const result = new Float32Array(wider[0]! * widerRow);
  for (let i = 0; i < data.length; i++) result[Math.floor(i / row) * widerRow + (i % row)] = data[i]! * scale;
  return result;
}
