/** @file Photographs as a world: random parts of them, at every scale, mirrored half the time. */
import type { Random } from "../../random.ts";
import type { Photo } from "../gathered/index.ts";
import { cropSquare, drawSquare } from "./crop.ts";
import { plainWords } from "./words.ts";
import type { CaptionedPicture, World } from "./world.ts";

/** Share of a photograph's shorter side from which on a part of it shows what its caption says. */
const wholeEnough = 0.7;

export class PhotoWorld implements World {
  readonly name = "photos";

  constructor(private readonly photos: readonly Photo[]) {}

  picture(random: Random, size: number): CaptionedPicture {
    const { image, words } = random.pick(this.photos);
    const square = drawSquare(random, image);
    const picture = cropSquare(image, square, size, random.chance(0.5));
    const isWhole = square.side >= wholeEnough * Math.min(image.width, image.height);
    return { picture, words: (isWhole && plainWords(words)) || undefined };
  }
}
