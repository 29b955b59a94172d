/**
 * @file Baselines: pictures made from the same query and examples without the transformer. Every table shows them beside
 * the model's results, on the same samples.
 */
export { type ClassicalFilter, classicalFilter } from "./classical.ts";
export { type ColourPair, colourFit } from "./colour-fit.ts";

/**
 * The baselines, in the order of tables. `unchanged`: the query itself. `colourFit`: least squares from the colours of
 * the examples' inputs to those of their outputs. `classical`: one fixed filter per family, for restorations only.
 * `roundTrip`: the truth, encoded and decoded by the image tokenizer.
 */
export const baselines = ["unchanged", "colourFit", "classical", "roundTrip"] as const;
export type Baseline = (typeof baselines)[number];
