/**
 * @file Cut-out objects on other photographs: added, removed, recoloured, masked, or with a replaced background; and
 * close-ups of photographs.
 */
import { luma, mapPixels } from "../../image/filters.ts";
import { createImage, type Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";
import type { Cutout, Gathered } from "../gathered/index.ts";
import { drawDistinctColors } from "../palette.ts";
import {
  bothWays,
  type Change,
  family,
  type Images,
  ofWorld,
  type ReversibleChange,
  type TaskFamily,
} from "../task.ts";
import { withArticle } from "../world/caption.ts";
import { colorNames, colors, type Rgb } from "../world/scene.ts";
import { photoPart } from "../worlds/backdrop.ts";
import { cropSquare } from "../worlds/crop.ts";
import { toneOf } from "../worlds/icons.ts";
import { type Place, recolored, type Sprite, silhouette, spriteOf, stamped } from "../worlds/sprite.ts";
import { plainWords } from "../worlds/words.ts";
import { hueRotation } from "./tone.ts";
import { drawFitting, isVisible } from "./visible.ts";

/** Size of the cache of decoded cutouts, which take up to 410 KB each (160 × 160 pixels). */
const cutoutsKept = 200;

/** The most words of a cutout's name that an instruction repeats. */
const mostWords = 3;

const nameOf = ({ words }: Cutout): string => {
  const plain = plainWords(words);
  return plain === "" || plain.split(" ").length > mostWords ? "thing" : plain.replace(/^(an?|the) /, "");
};

export function photoFamilies({ photos, cutouts }: Gathered): readonly TaskFamily[] {
  const kept = new Map<Cutout, Sprite>();
  const spriteFor = (cutout: Cutout): Sprite => {
    const known = kept.get(cutout);
    if (known) return known;
    const sprite = spriteOf(cutout.image);
    if (kept.size >= cutoutsKept) kept.delete(kept.keys().next().value!);
    kept.set(cutout, sprite);
    return sprite;
  };
  const ground = (random: Random, size: number) => photoPart(random, size, photos);

  function drawPlace(random: Random): Place {
    const side = random.uniform(0.4, 0.7);
    const slack = (1 - side) / 2;
    return {
      x: 0.5 + random.uniform(-slack, slack),
      y: 0.5 + random.uniform(-slack / 2, slack),
      side,
      mirrored: random.chance(0.5),
    };
  }

  /** Pairs of a cutout on a photograph and the result of `change` on the picture. */
  const shown =
    (
      change: (laid: { sprite: Sprite; place: Place; ground: Image; input: Image }) => Image,
      fits: (sprite: Sprite) => boolean = () => true,
    ): Change["images"] =>
    (random, size) =>
      drawFitting((): Images => {
        const sprite = drawFitting(() => spriteFor(random.pick(cutouts)), fits);
        const place = drawPlace(random);
        const behind = ground(random, size);
        const input = stamped(behind, [{ sprite, place }]);
        return { input, output: change({ sprite, place, ground: behind, input }) };
      }, isVisible);

  /** How much the sprite covers each pixel, as three equal values. */
  const coverOf = (size: number, sprite: Sprite, place: Place): Image =>
    stamped(createImage(size, size), [{ sprite: silhouette(sprite, [1, 1, 1]), place }]);

  function drawAddition(random: Random): ReversibleChange {
    const cutout = random.pick(cutouts);
    const place = drawPlace(random);
    const name = nameOf(cutout);
    return {
      parameters: { cutout: cutout.name, x: place.x, y: place.y, side: place.side },
      images: (pairRandom, size) =>
        drawFitting(() => {
          const input = ground(pairRandom, size);
          return { input, output: stamped(input, [{ sprite: spriteFor(cutout), place }]) };
        }, isVisible),
      words: {
        instructions: [`add ${withArticle(name)}`, `put ${withArticle(name)} into the picture`],
        differences: [`the output image has ${withArticle(name)} in addition`],
      },
      reverseWords: {
        instructions: [`remove the ${name}`, `take the ${name} away`],
        differences: [`the ${name} of the input image is gone`],
      },
    };
  }

  function drawPlainGround(random: Random): Change {
    const color = random.pick(colorNames);
    return {
      parameters: { color },
      images: shown(({ sprite, place, input }) =>
        stamped(createImage(input.width, input.height, colors[color]), [{ sprite, place }]),
      ),
      words: {
        instructions: [`make the background plain ${color}`, "cut the object out"],
        differences: [`the object is before a plain ${color} background in the output image`],
      },
    };
  }

  function drawOtherGround(random: Random): Change {
    const photo = random.pick(photos);
    const { width, height } = photo.image;
    const side = Math.min(width, height);
    const square = { left: random.integer(0, width - side), top: random.integer(0, height - side), side };
    return {
      parameters: { photo: photo.name, left: square.left, top: square.top },
      images: shown(({ sprite, place, input }) =>
        stamped(cropSquare(photo.image, square, input.width), [{ sprite, place }]),
      ),
      words: {
        instructions: ["put it before the background of the example", "replace the background"],
        differences: ["the object is before another background in the output image"],
      },
    };
  }

  function drawHue(random: Random): Change {
    const turns = random.uniform(0.15, 0.85);
    const rotate = hueRotation(2 * Math.PI * turns);
    return {
      parameters: { turns },
      images: shown(
        ({ sprite, place, ground: behind }) =>
          stamped(behind, [{ sprite: recolored(sprite, (r, g, b, out) => rotate(r, g, b, out, 0)), place }]),
        (sprite) => toneOf(sprite).chroma > 0.2,
      ),
      words: {
        instructions: ["shift the hues of the object alone", "recolor the object like the example"],
        differences: ["the object has other hues in the output image while the rest stays"],
      },
    };
  }

  function drawMask(random: Random): Change {
    const [ink, paper] = drawDistinctColors(random, 2) as [Rgb, Rgb];
    return {
      parameters: {
        ink: ink.map((v) => v.toFixed(2)).join(" "),
        paper: paper.map((v) => v.toFixed(2)).join(" "),
      },
      images: shown(({ sprite, place, input }) =>
        stamped(createImage(input.width, input.height, paper), [{ sprite: silhouette(sprite, ink), place }]),
      ),
      words: {
        instructions: ["mask the object", "show where the object is"],
        differences: ["the output image is a mask of the object in two colors"],
      },
    };
  }

  function drawHighlight(random: Random): ReversibleChange {
    const look = random.pick(["gray", "dark", "pale"]);
    return {
      parameters: { look },
      images: shown(({ sprite, place, input }) => {
        const cover = coverOf(input.width, sprite, place).data;
        return mapPixels(input, (r, g, b, out, at) => {
          const l = luma(r, g, b);
          for (const [c, value] of [r, g, b].entries()) {
            const rest = look === "gray" ? l : look === "dark" ? value * 0.3 : 0.7 + value * 0.3;
            out[at + c] = rest + (value - rest) * cover[at]!;
          }
        });
      }),
      words: {
        instructions: [`make all but the object ${look}`, "highlight the object"],
        differences: [`all but the object is ${look} in the output image`],
      },
      reverseWords: {
        instructions: [`bring the ${look} background back`, "undo the highlighting"],
        differences: [`the background is no longer ${look} in the output image`],
      },
    };
  }

  function drawCloser(random: Random): ReversibleChange {
    const factor = random.uniform(1.6, 2.4);
    const [x, y] = [random.uniform(0.1, 0.9), random.uniform(0.1, 0.9)];
    return {
      parameters: { factor, x, y },
      images(pairRandom, size) {
        const { image } = pairRandom.pick(photos);
        const longest = Math.min(image.width, image.height);
        const side = Math.round(longest * pairRandom.uniform(0.7, 1));
        const square = {
          left: pairRandom.integer(0, image.width - side),
          top: pairRandom.integer(0, image.height - side),
          side,
        };
        const inner = Math.round(side / factor);
        const part = {
          left: square.left + Math.round(x * (side - inner)),
          top: square.top + Math.round(y * (side - inner)),
          side: inner,
        };
        return { input: cropSquare(image, square, size), output: cropSquare(image, part, size) };
      },
      words: {
        instructions: ["go closer to a part", "show a part of it from nearer"],
        differences: ["the output image shows a part of the input image from nearer, with finer details"],
      },
      reverseWords: {
        instructions: ["step back from it", "show what is around it"],
        differences: ["the output image shows what is around the input image"],
      },
    };
  }

  const ofCutouts = [
    ...bothWays(["addCutout", "editing"], ["removeCutout", "editing"], drawAddition),
    family("cutoutPlainGround", "editing", drawPlainGround),
    family("cutoutOtherGround", "editing", drawOtherGround),
    family("cutoutHue", "editing", drawHue),
    family("cutoutMask", "perception", drawMask),
    ...bothWays(["cutoutHighlight", "editing"], ["cutoutUnhighlight", "editing"], drawHighlight),
  ].map((each) => ({ ...each, isPossible: () => cutouts.length > 0 }));
  return ofWorld("photos", [
    ...ofCutouts,
    ...bothWays(["photoCloser", "geometry"], ["photoFarther", "controlled"], drawCloser),
  ]);
}
