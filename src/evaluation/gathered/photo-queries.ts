/** @file The queries of `eval photos`: photographs under a change, each with an example of another photograph. */
import type { Gathered, Photo } from "../../tasks/gathered/index.ts";
import { Random } from "../../tasks/index.ts";
import { in8Bits } from "../samples.ts";
import type { PhotoChange, PhotoPair } from "./photo-changes.ts";
import { photographsOf, squareOf } from "./pictures.ts";

/** Pictures of `size` × `size` pixels with 8 bits, as users' files have. */
export interface PhotoQuery {
  readonly example: PhotoPair;
  readonly input: PhotoPair["input"];
  readonly truth: PhotoPair["output"];
  readonly samplingSeed: number;
}

export interface PhotoQueries {
  /** Number of sufficiently large photographs. */
  readonly photographs: number;
  /** Names of those that are changed, one query each: as many as the limit, or all if there are fewer. */
  readonly names: readonly string[];
  /** Deterministic from the seed, independent of the limit. */
  of(change: PhotoChange, index: number): PhotoQuery;
}

/** @throws XPromptError when there are fewer than two photographs of the size */
export function photoQueries(
  gathered: Gathered,
  { size, limit, seed }: { readonly size: number; readonly limit: number; readonly seed: number },
): PhotoQueries {
  const usable = photographsOf(gathered, size, "eval photos");
  const chosen: readonly Photo[] = Random.of(seed, "photographs").shuffle(usable).slice(0, limit);
  return {
    photographs: usable.length,
    names: chosen.map(({ name }) => name),
    of(change, index) {
      const stream = (what: string) => Random.of(seed, "photographs", change.name, index, what);
      const query = chosen[index]!;
      const changer = change.draw(stream("parameters"));
      const other = stream("example").pick(usable.filter((photograph) => photograph !== query));
      const changed = (photograph: Photo, places: string): PhotoPair =>
        in8Bits(changer(squareOf(photograph, size), stream(places)));
      const example = changed(other, "example's places");
      const { input, output } = changed(query, "query's places");
      const samplingSeed = stream("drawing").integer(0, 2 ** 31 - 1);
      return { example, input, truth: output, samplingSeed };
    },
  };
}
