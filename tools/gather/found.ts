/** @file What a source finds in its package, before it is resized and packed; and what a set is. */
import type { Split } from "../../src/tasks/gathered/index.ts";
import type { Download } from "./download.ts";

export interface Credit {
  readonly author?: string;
  readonly licence?: string;
  readonly url?: string;
}

export interface FoundPhoto {
  readonly name: string;
  readonly words: string;
  /** Any format that sharp reads. */
  readonly bytes: Buffer;
  readonly credit?: Credit;
}

export interface FoundIcon {
  /** The same for the same thing in every set of the family. */
  readonly name: string;
  readonly words: string;
  /** SVG text, or a picture of any format that sharp reads. */
  readonly source: string | Buffer;
}

export interface FoundCutout {
  readonly name: string;
  readonly words: string;
  readonly bytes: Buffer;
}

interface SetCommon<Found> {
  /** Name of the pack. */
  readonly name: string;
  readonly title: string;
  /** The packages that the set is made from; the pictures are in the first. */
  readonly packages: readonly string[];
  /** @param downloads In the order of `packages`. */
  find(downloads: readonly Download[]): AsyncIterable<Found>;
}

export interface PhotoSet extends SetCommon<FoundPhoto> {
  readonly kind: "photos";
  readonly split: Split;
}

export interface IconSetSource extends SetCommon<FoundIcon> {
  readonly kind: "icons";
  readonly style: string;
  readonly family: string;
  /**
   * What is fitted into the icon's square: what is painted, so that a thing is equally large in every style, or the
   * whole canvas, so that strokes of several weights lie on one another.
   */
  readonly fit: "content" | "canvas";
}

export interface CutoutSet extends SetCommon<FoundCutout> {
  readonly kind: "cutouts";
}

export type GatherSet = PhotoSet | IconSetSource | CutoutSet;
