/**
 * @file Searching examples by similar instructions, similar pictures, common words, or a weighted mean of them.
 *
 * Each search gives its nearest candidates; the weighted mean is then computed for all of them. Similarities are at most
 * 1: cosines of texts and pictures, and s / (1 + s) of the score s of full-text search (BM25).
 */
import { UsageError } from "../errors.ts";
import { dot } from "../numbers.ts";
import { vectorOf } from "./arrow.ts";
import type { Facts, Vectors } from "./example.ts";
import { factNames, type LibraryTable } from "./tables.ts";
import { checkWeights, type Weights } from "./weights.ts";

export interface Found extends Facts {
  /** Weighted mean of `parts`, at most 1. */
  readonly similarity: number;
  /** 1 − similarity. */
  readonly distance: number;
  /** The similarities with a weight above 0. */
  readonly parts: Partial<Record<keyof Weights, number>>;
}

/** The query. */
export interface Near extends Vectors {
  readonly words?: string;
}

interface Candidate {
  readonly facts: Facts;
  readonly text?: Float32Array;
  readonly image?: Float32Array;
}

/** Additional candidates per search. */
const MORE = 32;
/** Partitions of an index to search, and candidates per result to compare exactly. */
const PROBES = 40;
const REFINE = 12;

/** @internal @returns the k nearest, nearest first; equal ones by id */
export async function searchTables(
  examples: LibraryTable,
  vectors: LibraryTable | undefined,
  near: Near,
  weights: Weights,
  k: number,
  exact = false,
): Promise<Found[]> {
  checkWeights("searching examples", weights);
  const given = (["text", "image", "words"] as const).filter((way) => near[way]);
  const used = given.filter((way) => weights[way] > 0);
  if (given.length === 0)
    throw new UsageError(
      "searching examples: expected an instruction or a picture to search by, got neither",
    );
  if (used.length === 0)
    throw new UsageError(
      `searching examples: expected a weight above 0 for what is given (${given.join(", ")}), got 0`,
    );
  const candidates = new Map<string, Candidate>();
  const scores = new Map<string, number>();
  const wanted = used.length === 1 ? k : 4 * k + MORE;
  const searches = used.map(async (way): Promise<readonly Candidate[]> => {
    if (way !== "words") return vectors ? byVector(vectors, way, near[way]!, wanted, exact) : [];
    const rows = await byWords(examples, near.words!, wanted);
    for (const { facts, score } of rows) scores.set(facts.id, score / (1 + score));
    return rows;
  });
  // Candidates of vector searches have their vectors; those of full-text search lack them.
  for (const candidate of (await Promise.all(searches)).reverse().flat())
    candidates.set(candidate.facts.id, candidate);
  if (vectors) await addVectors(vectors, candidates, used);
  const total = used.reduce((sum, way) => sum + weights[way], 0);
  const found = [...candidates.values()].map(({ facts, text, image }): Found => {
    const own = { text, image };
    const similarityBy = (way: keyof Weights): number => {
      if (way === "words") return scores.get(facts.id) ?? 0;
      return own[way] ? dot(own[way], near[way]!) : 0;
    };
    const parts = Object.fromEntries(used.map((way) => [way, similarityBy(way)]));
    const similarity = used.reduce((sum, way) => sum + weights[way] * parts[way]!, 0) / total;
    return { ...facts, similarity, distance: Math.max(0, 1 - similarity), parts };
  });
  found.sort((a, b) => b.similarity - a.similarity || (a.id < b.id ? -1 : 1));
  return found.slice(0, k);
}

/**
 * The nearest examples that pass `keep`, found by searching more and more candidates.
 * @param among searches for a number of nearest examples
 * @returns `count` examples, or all that pass if they are fewer
 */
export async function nearestOf(
  among: (k: number) => Promise<Found[]>,
  count: number,
  total: number,
  keep: (found: readonly Found[]) => Found[],
): Promise<Found[]> {
  for (let k = 16 * count; ; k *= 4) {
    const kept = keep(await among(k));
    if (kept.length >= count || k >= total) return kept.slice(0, count);
  }
}

async function byVector(
  vectors: LibraryTable,
  column: "text" | "image",
  vector: Float32Array,
  limit: number,
  exact: boolean,
): Promise<Candidate[]> {
  const rows = await vectors.run((table) => {
    const query = table
      .vectorSearch(vector)
      .column(column)
      .distanceType("cosine")
      .select([...factNames, "text", "image", "_distance"])
      .limit(limit);
    return (exact ? query.bypassVectorIndex() : query.nprobes(PROBES).refineFactor(REFINE)).toArray();
  });
  return rows.map(candidateOf);
}

async function byWords(
  examples: LibraryTable,
  words: string,
  limit: number,
): Promise<{ readonly facts: Facts; readonly score: number }[]> {
  const rows: Record<string, unknown>[] = await examples.run((table) =>
    table
      .query()
      .fullTextSearch(words, { columns: ["instruction"] })
      .select([...factNames, "_score"])
      .limit(limit)
      .toArray(),
  );
  return rows.map((row) => ({ facts: factsOf(row), score: row._score as number }));
}

/** Adds the vectors of candidates of full-text search. */
async function addVectors(
  vectors: LibraryTable,
  candidates: Map<string, Candidate>,
  used: readonly (keyof Weights)[],
): Promise<void> {
  if (used.every((way) => way === "words")) return;
  const bare = [...candidates.values()].filter(({ text, image }) => !text && !image);
  const ids = bare.map(({ facts }) => facts.id);
  for (const row of await vectors.rows(ids, [...factNames, "text", "image"]))
    candidates.set(row.id as string, candidateOf(row));
}

const candidateOf = (row: Record<string, unknown>): Candidate => ({
  facts: factsOf(row),
  text: vectorOf(row.text),
  image: vectorOf(row.image),
});

/** The facts among the columns of a row. */
export const factsOf = (row: Record<string, unknown>): Facts =>
  Object.fromEntries(factNames.map((name) => [name, String(row[name] ?? "")])) as unknown as Facts;
