/**
 * @file What costs nothing: pictures that are made of the same query and the same examples without the transformer. They
 * stand beside what is drawn, on the same samples, in every table.
 */
export { type ClassicalFilter, classicalFilter } from "./classical.ts";
export { type ColourPair, colourFit } from "./colour-fit.ts";

/**
 * The columns, in the order of tables. `unchanged`: the query itself. `colourFit`: least squares from the colours of the
 * examples' inputs to those of their outputs. `classical`: one filter, fixed for the family; of restorations alone.
 * `roundTrip`: the truth through the image tokenizer and back.
 */
export const baselines = ["unchanged", "colourFit", "classical", "roundTrip"] as const;
export type Baseline = (typeof baselines)[number];
