/**
 * @file Stored figures of expert models on the queries of `eval photos`: MAXIM (Tu et al. 2022,
 * https://arxiv.org/abs/2201.02973), one model per restoration. They are stored because a picture takes half a minute;
 * `npm run maxim -- --pictures DIR` computes them again.
 */
import { stored } from "./expert-figures.ts";

/** The queries: the first `count` of a seed. */
export interface ExpertQueries {
  /** Digest of the gathered pictures. */
  readonly digest: string;
  readonly size: number;
  readonly seed: number;
  readonly count: number;
}

/** PSNR in dB, one value per query; empty if the stored figures belong to other queries, or to fewer. */
export function expertPsnr(change: string, { digest, size, seed, count }: ExpertQueries): readonly number[] {
  const isSame = stored.digest === digest && stored.size === size && stored.seed === seed;
  const values = stored.psnr[change] ?? [];
  return isSame && values.length >= count ? values.slice(0, count) : [];
}
