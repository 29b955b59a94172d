/** @file Icons repeated, swapped, counted, scaled, rotated, and on another background. */
import { createImage } from "../../../image/image.ts";
import type { Random } from "../../../random.ts";
import { hsv } from "../../palette.ts";
import { bothWays, type Change, family, type ReversibleChange, type TaskFamily } from "../../task.ts";
import { drawPlainColor } from "../../worlds/backdrop.ts";
import { drawPlace, iconSprite, standsOut } from "../../worlds/icons.ts";
import { type Place, type Stamp, stamped } from "../../worlds/sprite.ts";
import { drawFitting } from "../visible.ts";
import type { IconSource } from "./source.ts";

export function iconPlaceFamilies(source: IconSource): readonly TaskFamily[] {
  function drawBeside(random: Random): ReversibleChange {
    const side = random.pick(["left", "right", "above", "below"] as const);
    const steps = { left: [1, 0], right: [-1, 0], above: [0, 1], below: [0, -1] } as const;
    const [dx, dy] = steps[side];
    const at = (sign: number): Place => ({
      x: 0.5 + sign * dx * 0.24,
      y: 0.5 + sign * dy * 0.24,
      side: 0.44,
    });
    const where = side === "left" || side === "right" ? `on the ${side}` : side;
    return {
      parameters: { side },
      images(pairRandom, size) {
        return source.pair(pairRandom, size, () => {
          const sprite = iconSprite(source.icon(pairRandom));
          const first: Stamp = { sprite, place: at(1) };
          return { before: [first], after: [first, { sprite, place: at(-1) }] };
        });
      },
      words: {
        instructions: [`put the same one ${where}`, `repeat the icon ${where}`],
        differences: [`the output image has the same icon again ${where}`],
      },
      reverseWords: {
        instructions: [`take away the one ${where}`, "leave only one of them"],
        differences: [`the icon ${where} of the input image is gone`],
      },
    };
  }

  function drawSwap(random: Random): Change {
    const isSideways = random.chance(0.5);
    const placeAt = (at: number): Place => ({
      x: isSideways ? at : 0.5,
      y: isSideways ? 0.5 : at,
      side: 0.44,
    });
    const [a, b] = [placeAt(0.26), placeAt(0.74)];
    const axis = isSideways ? "left and right" : "top and bottom";
    return {
      parameters: { axis },
      images(pairRandom, size) {
        return source.pair(pairRandom, size, () => {
          const set = pairRandom.pick(source.sets);
          const icons = [source.icon(pairRandom, set), source.icon(pairRandom, set)] as const;
          const [first, second] = [iconSprite(icons[0]), iconSprite(icons[1])];
          return {
            before: [
              { sprite: first, place: a },
              { sprite: second, place: b },
            ],
            after: [
              { sprite: second, place: a },
              { sprite: first, place: b },
            ],
          };
        });
      },
      words: {
        instructions: [`swap ${axis}`, "let the two icons trade places"],
        differences: [`the icons ${axis} have traded places in the output image`],
      },
    };
  }

  function drawCount(random: Random): ReversibleChange {
    const count = random.integer(1, 3);
    const many = ["one", "two", "three", "four"];
    const [few, more] = [many[count - 1]!, many[count]!];
    const places = [0.26, 0.74].flatMap((y) => [0.26, 0.74].map((x): Place => ({ x, y, side: 0.42 })));
    const words = (a: string, b: string) => ({
      instructions: [`make it ${b} instead of ${a}`, `show ${b} of them`],
      differences: [`the output image has ${b} of the icon and the input image ${a}`],
    });
    return {
      parameters: { count },
      images(pairRandom, size) {
        return source.pair(pairRandom, size, () => {
          const sprite = iconSprite(source.icon(pairRandom));
          const stamps = places.map((place): Stamp => ({ sprite, place }));
          return { before: stamps.slice(0, count), after: stamps.slice(0, count + 1) };
        });
      },
      words: words(few, more),
      reverseWords: words(more, few),
    };
  }

  /** Pairs of one icon at two places. */
  const moved =
    (places: (random: Random) => readonly [Place, Place]): Change["images"] =>
    (random, size) =>
      source.pair(random, size, () => {
        const sprite = iconSprite(source.icon(random));
        const [before, after] = places(random);
        return { before: [{ sprite, place: before }], after: [{ sprite, place: after }] };
      });

  function drawScale(random: Random): ReversibleChange {
    const factor = random.uniform(1.5, 2.2);
    return {
      parameters: { factor },
      images: moved((pairRandom) => {
        const side = pairRandom.uniform(0.5, 0.6) / (factor / 1.6);
        return [
          { x: 0.5, y: 0.5, side },
          { x: 0.5, y: 0.5, side: side * factor },
        ];
      }),
      words: {
        instructions: ["enlarge the icon", "make the icon larger"],
        differences: ["the icon is larger in the output image"],
      },
      reverseWords: {
        instructions: ["shrink the icon", "make the icon smaller"],
        differences: ["the icon is smaller in the output image"],
      },
    };
  }

  function drawTurn(random: Random): Change {
    const degrees = random.pick([30, 45, 60, 90, 135, 180, -30, -45, -60, -90, -135]);
    const way = degrees < 0 ? "left" : "right";
    return {
      parameters: { degrees },
      images: moved((pairRandom) => {
        const place = { x: 0.5, y: 0.5, side: pairRandom.uniform(0.5, 0.68) };
        return [place, { ...place, turn: (degrees * Math.PI) / 180 }];
      }),
      words: {
        instructions: [`turn the icon to the ${way}`, `rotate the icon by ${Math.abs(degrees)} degrees`],
        differences: [`the icon is turned by ${Math.abs(degrees)} degrees to the ${way} in the output image`],
      },
    };
  }

  function drawGroundColor(random: Random): Change {
    const color = random.chance(0.5)
      ? drawPlainColor(random)
      : hsv(random.uniform(), 0.2, random.pick([0.15, 0.97]));
    return {
      parameters: { color: color.map((value) => value.toFixed(2)).join(" ") },
      images(pairRandom, size) {
        const after = createImage(size, size, color);
        const sprite = drawFitting(
          () => iconSprite(source.icon(pairRandom)),
          (each) => standsOut(after, [each]),
        );
        const place = drawPlace(pairRandom);
        const ground = drawFitting(
          () => source.ground(pairRandom, size, [sprite]),
          ({ data }) => color.reduce((sum, value, c) => sum + Math.abs(data[c]! - value), 0) > 0.2,
        );
        return { input: stamped(ground, [{ sprite, place }]), output: stamped(after, [{ sprite, place }]) };
      },
      words: {
        instructions: ["change the background color", "give it the background of the example"],
        differences: ["the icon is before a plain background of another color in the output image"],
      },
    };
  }

  return [
    ...bothWays(["iconBeside", "editing"], ["iconAlone", "editing"], drawBeside),
    family("iconSwap", "editing", drawSwap),
    ...bothWays(["iconMore", "editing"], ["iconFewer", "editing"], drawCount),
    ...bothWays(["iconEnlarge", "editing"], ["iconShrink", "editing"], drawScale),
    family("iconTurn", "editing", drawTurn),
    family("iconGround", "editing", drawGroundColor),
  ];
}
