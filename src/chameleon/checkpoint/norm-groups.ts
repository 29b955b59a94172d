/**
 * @file A VQGAN whose norms have few groups, as one with 32: `transformers` knows no other number.
 *
 * Every hidden width is made 32 / groups times as wide. A group of g norms c / g channels, and so does a group of 32 of
 * the wider network: its first g groups are the former ones. The added channels' weights, biases and gains are zero, so
 * that they are zero after every layer. Attention divides its scores by the square root of the channels: the queries'
 * weights make up for it, which adds no digits where 32 / groups is the square of a power of two.
 */
import { XPromptError } from "../../errors.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";

/** Groups of every norm in the published image tokenizer, and in `transformers`. */
const GROUPS = 32;

/** The ends of the network, whose channels are pixels or latents and stay as they are. */
const SAME_INPUT = /^(encoder|decoder)\.conv_in\.weight$/;
const SAME_OUTPUT = /^(encoder|decoder)\.conv_out\./;
const HIDDEN = /^(encoder|decoder)\./;
const QUERY = /\.attn_1\.q\./;

/** How often wider the network with 32 groups is. @throws XPromptError where groups cannot be kept whole */
export function widening({ normGroups }: VqganConfig): number {
  const times = GROUPS / normGroups;
  if (Number.isInteger(times)) return times;
  throw new XPromptError(
    `exporting an image tokenizer: expected norms of 1, 2, 4, 8, 16 or ${GROUPS} groups, got ${normGroups} (transformers has ${GROUPS}, of which others can not be made)`,
  );
}

/** Whether a weight of the wider network has more digits than the former one, for 16 bits to hold. */
export const needsDigits = (name: string, times: number): boolean =>
  QUERY.test(name) && !Number.isInteger(Math.log2(times) / 2);

/** The sizes of the wider network. */
export const widenedConfig = (config: VqganConfig, times: number): VqganConfig => ({
  ...config,
  baseChannels: config.baseChannels * times,
  normGroups: config.normGroups * times,
});

/** Shape of a weight of the wider network. @param name without the image tokenizer's prefix */
export function widenedShape(name: string, shape: readonly number[], times: number): readonly number[] {
  if (times === 1 || !HIDDEN.test(name)) return shape;
  const [outputs, inputs, ...kernel] = shape;
  const wider = outputs! * (SAME_OUTPUT.test(name) ? 1 : times);
  if (inputs === undefined) return [wider];
  return [wider, inputs * (SAME_INPUT.test(name) ? 1 : times), ...kernel];
}

/** A weight of the wider network, in `widenedShape`. */
export function widened(
  name: string,
  { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array },
  times: number,
): Float32Array {
  const wider = widenedShape(name, shape, times);
  if (wider === shape) return data;
  const scale = QUERY.test(name) ? Math.sqrt(times) : 1;
  const row = data.length / shape[0]!; // numbers of one output channel; those of added inputs follow
  const widerRow = wider.slice(1).reduce((product, size) => product * size, 1);
  const result = new Float32Array(wider[0]! * widerRow);
  for (let i = 0; i < data.length; i++) result[Math.floor(i / row) * widerRow + (i % row)] = data[i]! * scale;
  return result;
}
