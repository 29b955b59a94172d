/** @file What the families of icons share: random icons, and pairs that differ in what lies on one background. */
import type { Image } from "../../../image/image.ts";
import type { Random } from "../../../random.ts";
import type { Gathered, Icon, IconSet, Photo } from "../../gathered/index.ts";
import type { Change, Images } from "../../task.ts";
import { drawGround, drawPlace, iconSprite, namesOf, toneOf } from "../../worlds/icons.ts";
import { type Sprite, type Stamp, stamped } from "../../worlds/sprite.ts";

/** How often something is drawn again to find a case that the change can be seen on. */
const attempts = 30;

/** The first of some draws that `fits`; the last one where none does. */
export function drawFitting<T>(draw: () => T, fits: (drawn: T) => boolean): T {
  let drawn = draw();
  for (let tries = 0; tries < attempts && !fits(drawn); tries++) drawn = draw();
  return drawn;
}

/** Least share of the values of a picture that a change alters, each by more than `shade`. */
const [leastShare, shade] = [0.01, 0.12];

/** Whether the change can be seen: a contour in the colour of the background cannot. */
export function isVisible({ input, output }: Images): boolean {
  let altered = 0;
  input.data.forEach((value, i) => {
    if (Math.abs(value - output.data[i]!) > shade) altered++;
  });
  return altered >= leastShare * input.data.length;
}

/** Whether a sprite is black, white or gray all over. */
export const isInk = (sprite: Sprite): boolean => toneOf(sprite).chroma < 0.02;

export class IconSource {
  readonly sets: readonly IconSet[];
  readonly photos: readonly Photo[];

  constructor({ iconSets, photos }: Pick<Gathered, "iconSets" | "photos">) {
    this.sets = iconSets;
    this.photos = photos;
  }

  /** A random icon, of a random set unless one is given. */
  icon(random: Random, set: IconSet = random.pick(this.sets)): Icon {
    return set.icons.get(random.pick(namesOf(set)))!;
  }

  /** A background that all of the sprites stand out from. */
  ground(random: Random, size: number, sprites: readonly Sprite[]): Image {
    return drawGround(random, size, this.photos, sprites);
  }

  /** Two pictures with the same background and other sprites on it, which can be seen to differ. */
  pair(random: Random, size: number, before: readonly Stamp[], after: readonly Stamp[]): Images {
    const sprites = [...before, ...after].map(({ sprite }) => sprite);
    return drawFitting(() => {
      const ground = this.ground(random, size, sprites);
      return { input: stamped(ground, before), output: stamped(ground, after) };
    }, isVisible);
  }

  /**
   * Pairs of one icon at one place, and what `change` makes of it.
   * @param change the changed icon, larger by a margin all around at most; undefined where it cannot be seen, and
   *   another icon is drawn
   */
  changed(change: (icon: Icon) => Sprite | undefined): Change["images"] {
    return (random, size) => {
      const { before, after } = drawFitting(
        () => {
          const icon = this.icon(random);
          return { before: iconSprite(icon), after: change(icon) };
        },
        (drawn) => drawn.after !== undefined,
      );
      const place = drawPlace(random);
      const changed = after ?? before;
      const side = (place.side * changed.width) / before.width;
      return this.pair(
        random,
        size,
        [{ sprite: before, place }],
        [{ sprite: changed, place: { ...place, side } }],
      );
    };
  }
}
