/**
 * @file Stored figures of expert models on the queries of `eval photos`: MAXIM (Tu et al. 2022,
 * https://arxiv.org/abs/2201.02973), one model per restoration. They are stored because a picture takes half a minute;
 * `npm run maxim -- --pictures DIR` computes them again.
 */
import { stored } from "./expert-figures.ts";

/** The queries of one change. */
export interface ExpertQueries {
  /** Digest of the gathered pictures, from which the examples are. */
  readonly digest: string;
  /** Names of the photographs, in order. */
  readonly photographs: readonly string[];
  readonly size: number;
  readonly seed: number;
}

/** PSNR in dB, one value per query; empty if the stored figures belong to other queries, or to fewer. */
export function expertPsnr(
  change: string,
  { digest, photographs, size, seed }: ExpertQueries,
): readonly number[] {
  const isSame =
    stored.digest === digest &&
    stored.size === size &&
    stored.seed === seed &&
    photographs.every((name, i) => stored.photographs[i] === name);
  return isSame ? (stored.psnr[change] ?? []).slice(0, photographs.length) : [];
}
