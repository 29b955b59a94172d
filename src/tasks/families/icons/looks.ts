/** @file Icons with other colours, without a part, with a contour or a shadow. */
import type { Random } from "../../../random.ts";
import type { Icon } from "../../gathered/index.ts";
import { bothWays, type Change, family, type ReversibleChange, type TaskFamily } from "../../task.ts";
import { withArticle } from "../../world/caption.ts";
import { type Color, colorNames, colors } from "../../world/scene.ts";
import { drawPlace, iconSprite, isInk, toneOf } from "../../worlds/icons.ts";
import { recolored, type Sprite, type Stamp, silhouette } from "../../worlds/sprite.ts";
import { outlined, shadowed, withLargestPart, withoutTop } from "../../worlds/sprite-changes.ts";
import { hueRotation } from "../tone.ts";
import type { IconChange, IconSource } from "./source.ts";

/** Marks families as possible only if at least one icon can have the change. */
function whereFitting<F extends TaskFamily>(
  source: IconSource,
  change: IconChange,
  families: readonly F[],
): F[] {
  let fits: boolean | undefined;
  const isPossible = () => {
    fits ??= source.fits(change);
    return fits;
  };
  return families.map((each) => ({ ...each, isPossible }));
}

/** The sprite of an icon in colours. */
function colored(icon: Icon): Sprite | undefined {
  const sprite = iconSprite(icon);
  return isInk(sprite) ? undefined : sprite;
}

/** The sprite of an icon in vivid colours, whose hues can be seen. */
function vivid(icon: Icon): Sprite | undefined {
  const sprite = iconSprite(icon);
  return toneOf(sprite).chroma < 0.2 ? undefined : sprite;
}

export function iconLookFamilies(source: IconSource): readonly TaskFamily[] {
  function drawPartColor(random: Random): Change {
    const color = random.pick(colorNames);
    return {
      parameters: { color },
      images: source.changed((icon) => withLargestPart(icon, colors[color])),
      words: {
        instructions: [`make its largest part ${color}`, `paint the main part ${color}`],
        differences: [`the largest part of the icon is ${color} in the output image`],
      },
    };
  }

  function drawHue(random: Random): Change {
    const turns = random.uniform(0.15, 0.85);
    const rotate = hueRotation(2 * Math.PI * turns);
    return {
      parameters: { turns },
      images: source.changed((icon) => {
        const sprite = vivid(icon);
        return sprite && recolored(sprite, (r, g, b, out) => rotate(r, g, b, out, 0));
      }),
      words: {
        instructions: ["shift the hues of the icon", "recolor the icon like the example"],
        differences: ["the icon has other hues in the output image while the background stays"],
      },
    };
  }

  function drawInk(random: Random): ReversibleChange {
    const [from, to] = random.pair(colorNames);
    const words = (a: Color, b: Color) => ({
      instructions: [`make the icon ${b}`, `recolor it from ${a} to ${b}`],
      differences: [`the icon is ${b} instead of ${a} in the output image`],
    });
    return {
      parameters: { from, to },
      images(pairRandom, size) {
        return source.pair(pairRandom, size, () => {
          const sprite = iconSprite(source.icon(pairRandom));
          const place = drawPlace(pairRandom);
          const inked = (color: Color): Stamp[] => [{ sprite: silhouette(sprite, colors[color]), place }];
          return { before: inked(from), after: inked(to) };
        });
      },
      words: words(from, to),
      reverseWords: words(to, from),
    };
  }

  function drawSilhouette(random: Random): Change {
    const color = random.pick(colorNames);
    return {
      parameters: { color },
      images: source.changed((icon) => {
        const sprite = colored(icon);
        return sprite && silhouette(sprite, colors[color]);
      }),
      words: {
        instructions: [`show only its ${color} silhouette`, `fill the shape with ${color}`],
        differences: [`the icon is but ${withArticle(color)} silhouette in the output image`],
      },
    };
  }

  function drawPart(): ReversibleChange {
    return {
      parameters: {},
      images: source.changed(withoutTop),
      words: {
        instructions: ["take its uppermost part off", "remove the part on top"],
        differences: ["the uppermost part of the icon is gone in the output image"],
      },
      reverseWords: {
        instructions: ["put its missing part on", "complete the icon"],
        differences: ["the icon has one part more in the output image"],
      },
    };
  }

  function drawOutline(random: Random): ReversibleChange {
    const color = random.pick(colorNames);
    const width = random.integer(3, 6);
    return {
      parameters: { color, width },
      images: source.changed((icon) => outlined(iconSprite(icon), width, colors[color])),
      words: {
        instructions: [`draw a contour in ${color} around it`, `outline it in ${color}`],
        differences: [`the icon has a contour in ${color} in the output image`],
      },
      reverseWords: {
        instructions: [`remove the contour in ${color}`, "take the outline away"],
        differences: [`the contour in ${color} around the icon is gone`],
      },
    };
  }

  function drawShadow(random: Random): ReversibleChange {
    const color = random.pick(["black", "black", "blue", "purple", "red"] as const);
    const [x, y] = [random.pick([-1, 1]) * random.integer(3, 8), random.integer(3, 8)];
    const blur = random.uniform(0.8, 3);
    return {
      parameters: { color, x, y, blur },
      images: source.changed((icon) => shadowed(iconSprite(icon), { x, y, blur, color: colors[color] })),
      words: {
        instructions: [`let it cast a ${color} shadow`, `add a ${color} drop shadow`],
        differences: [`the icon casts a ${color} shadow in the output image`],
      },
      reverseWords: {
        instructions: [`remove the ${color} shadow`, "take the shadow away"],
        differences: [`the ${color} shadow of the icon is gone`],
      },
    };
  }

  return [
    ...whereFitting(source, (icon) => withLargestPart(icon, colors.red), [
      family("iconPartColor", "editing", drawPartColor),
    ]),
    ...whereFitting(source, vivid, [family("iconHue", "editing", drawHue)]),
    ...bothWays(["iconInk", "editing"], ["iconInkBack", "editing"], drawInk),
    ...whereFitting(source, colored, [family("iconSilhouette", "editing", drawSilhouette)]),
    ...whereFitting(
      source,
      withoutTop,
      bothWays(["iconPartOff", "editing"], ["iconPartOn", "editing"], drawPart),
    ),
    ...bothWays(["iconOutline", "editing"], ["iconOutlineOff", "editing"], drawOutline),
    ...bothWays(["iconShadow", "editing"], ["iconShadowOff", "editing"], drawShadow),
  ];
}
