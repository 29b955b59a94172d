/**
 * @file What expert models make of the queries of `eval photos`: MAXIM (Tu et al. 2022, https://arxiv.org/abs/2201.02973),
 * one model for each kind of restoration. Figures are stored, for a picture takes half a minute;
 * `npm run maxim -- --pictures DIR` computes them anew.
 */
import { stored } from "./expert-figures.ts";

/** The queries that figures are wanted of: the first `count` of a seed. */
export interface ExpertQueries {
  /** Of the gathered pictures. */
  readonly digest: string;
  readonly size: number;
  readonly seed: number;
  readonly count: number;
}

/** PSNR in dB, one value per query; none where the figures stored are of other queries, or of fewer. */
export function expertPsnr(change: string, { digest, size, seed, count }: ExpertQueries): readonly number[] {
  const isSame = stored.digest === digest && stored.size === size && stored.seed === seed;
  const values = stored.psnr[change] ?? [];
  return isSame && values.length >= count ? values.slice(0, count) : [];
}
