/** @file Photographs as a world: random crops at every scale, mirrored half the time. */
import type { Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";
import type { Photo } from "../gathered/index.ts";
import { cropSquare, drawSquare } from "./crop.ts";
import { plainWords } from "./words.ts";
import type { CaptionedPicture, World } from "./world.ts";

/** The least share of a photograph's shorter side in a crop that still matches its caption. */
const wholeEnough = 0.7;

/** Crops of less contrast are rejected, a few times, because changes are hardly visible in them. */
const leastContrast = 0.06;
const attempts = 4;

export class PhotoWorld implements World {
  readonly name = "photos";

  constructor(private readonly photos: readonly Photo[]) {}

  picture(random: Random, size: number): CaptionedPicture {
    let drawn = this.part(random, size);
    for (let i = 1; i < attempts && contrastOf(drawn.picture) < leastContrast; i++)
      drawn = this.part(random, size);
    return drawn;
  }

  private part(random: Random, size: number): CaptionedPicture {
    const { image, words } = random.pick(this.photos);
    const square = drawSquare(random, image);
    const picture = cropSquare(image, square, size, random.chance(0.5));
    const isWhole = square.side >= wholeEnough * Math.min(image.width, image.height);
    return { picture, words: (isWhole && plainWords(words)) || undefined };
  }
}

/** Standard deviation of all values. */
function contrastOf({ data }: Image): number {
  let [sum, squares] = [0, 0];
  for (const value of data) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / data.length;
  return Math.sqrt(Math.max(0, squares / data.length - mean * mean));
}
