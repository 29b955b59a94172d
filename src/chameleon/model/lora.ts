/**
 * @file Training beside frozen weights: low-rank adapters of linear layers (https://arxiv.org/abs/2106.09685), and
 * trained rows for some tokens that replace rows of the embedding or the output head. Parameters have the names of
 * Hugging Face's PEFT. Gradients are computed for the adapters only, never for a frozen matrix.
 */
import {
  add,
  concat,
  embedding,
  linear,
  multiply,
  type Scope,
  slice,
  type Tensor,
  take,
  where,
} from "../../graph/index.ts";

/** Linear layers that may have an adapter, by the last part of their names. */
export const loraTargets = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

export interface LoraConfig {
  readonly rank: number;
  /** An adapter is scaled by `alpha / rank`. */
  readonly alpha: number;
  readonly targets: readonly (typeof loraTargets)[number][];
}

export interface AdapterConfig {
  readonly lora?: LoraConfig;
  /** Tokens with a trained embedding. */
  readonly embeddingTokens?: readonly number[];
  /** Tokens with a trained row of the output head: consecutive ids, ascending. */
  readonly headTokens?: readonly number[];
}

/**
 * Name of trained rows `[tokens, hidden]` beside their table's `weight`. PEFT calls them delta, but they are whole
 * rows.
 */
export const OWN_ROWS = "token_adapter.trainable_tokens_delta";

/** Tables with trained rows: names of the table and of the rows, and the tokens. */
export function tablesWithOwnRows({ embeddingTokens, headTokens }: AdapterConfig) {
  const tables = [
    ["model.embed_tokens", embeddingTokens],
    ["lm_head", headTokens],
  ] as const;
  return tables.flatMap(([layer, tokens]) =>
    tokens ? [{ table: `${layer}.weight`, own: `${layer}.${OWN_ROWS}`, tokens }] : [],
  );
}

/** y + (alpha / rank) · (x Aᵀ) Bᵀ for x `[…rows, in]` and y `[…rows, out]` if `layer` has an adapter; else y. */
export function addLowRank(w: Scope, layer: string, x: Tensor, y: Tensor, lora?: LoraConfig): Tensor {
  if (!lora?.targets.some((target) => target === layer)) return y;
  const [rows, columns] = [y.shape.at(-1)!, x.shape.at(-1)!];
  const a = w.parameter("lora_A.weight", [lora.rank, columns]);
  const b = w.parameter("lora_B.weight", [rows, lora.rank]);
  return add(y, multiply(linear(linear(x, a), b), lora.alpha / lora.rank));
}

/** The embeddings `[…ids, hidden]`, with trained rows for `tokens`. The table is neither copied nor differentiated. */
export function embedOwn(
  w: Scope,
  ids: Tensor,
  rows: Tensor,
  tokens: readonly number[],
  vocabulary: number,
): Tensor {
  const place = new BigInt64Array(vocabulary);
  const isOwn = new Uint8Array(vocabulary);
  for (const [i, token] of tokens.entries()) {
    place[token] = BigInt(i);
    isOwn[token] = 1;
  }
  const { graph } = w;
  const own = w.parameter(OWN_ROWS, [tokens.length, rows.shape.at(-1)!]);
  return where(
    take(graph.constant(isOwn, [vocabulary, 1], "bool"), ids, 0), // […ids, 1]
    embedding(take(graph.constant(place, [vocabulary]), ids, 0), own),
    rows,
  );
}

/** Logits `[…rows, vocabulary]` of hidden `[…rows, hidden]`; those of `tokens` use trained rows of the head. */
export function headOwn(w: Scope, hidden: Tensor, logits: Tensor, tokens: readonly number[]): Tensor {
  const own = linear(hidden, w.parameter(OWN_ROWS, [tokens.length, hidden.shape.at(-1)!]));
  const [first, end, vocabulary] = [tokens[0]!, tokens.at(-1)! + 1, logits.shape.at(-1) as number];
  const kept = (from: number, to: number) => (from < to ? [slice(logits, -1, from, to)] : []);
  return concat([...kept(0, first), own, ...kept(end, vocabulary)], -1);
}
