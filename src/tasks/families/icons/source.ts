/** @file Shared parts of the icon families: random icons, and pairs that differ in the sprites on one background. */
import type { Image } from "../../../image/image.ts";
import type { Random } from "../../../random.ts";
import type { Gathered, Icon, IconSet, Photo } from "../../gathered/index.ts";
import type { Change, Images } from "../../task.ts";
import { drawGround, drawPlace, iconSprite, namesOf, toneOf } from "../../worlds/icons.ts";
import { type Sprite, type Stamp, stamped } from "../../worlds/sprite.ts";

/** Attempts to sample a case in which the change is visible, and to find an icon that it fits. */
const [attempts, iconAttempts] = [30, 1000];
/** The most icons of each set that are looked at to know whether a change fits any. */
const probes = 60;

/** The first of several samples that `fits`, or else the last one. */
export function drawFitting<T>(draw: () => T, fits: (drawn: T) => boolean, most = attempts): T {
  let drawn = draw();
  for (let tries = 0; tries < most && !fits(drawn); tries++) drawn = draw();
  return drawn;
}

/** A change must alter at least this share of a picture's values by more than `shade`. */
const [leastShare, shade] = [0.01, 0.12];

/** Whether the change is visible: a contour in the colour of the background is not. */
export function isVisible({ input, output }: Images): boolean {
  let altered = 0;
  input.data.forEach((value, i) => {
    if (Math.abs(value - output.data[i]!) > shade) altered++;
  });
  return altered >= leastShare * input.data.length;
}

/** Whether a sprite is black, white or gray everywhere. */
export const isInk = (sprite: Sprite): boolean => toneOf(sprite).chroma < 0.02;

/** Returns the changed icon; undefined for an icon that the change does not fit. */
export type IconChange = (icon: Icon) => Sprite | undefined;

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

  /** Whether the change fits any of some icons, which are spread over each set. */
  fits(change: IconChange): boolean {
    return this.sets.some((set) => {
      const names = namesOf(set);
      const step = Math.ceil(names.length / probes);
      return names.some((name, i) => i % step === 0 && change(set.icons.get(name)!) !== undefined);
    });
  }

  /** A random background; of several tries the first that contrasts with all the sprites, else the last. */
  ground(random: Random, size: number, sprites: readonly Sprite[]): Image {
    return drawGround(random, size, this.photos, sprites);
  }

  /** Two pictures with the same background and other sprites, which differ visibly. */
  pair(random: Random, size: number, before: readonly Stamp[], after: readonly Stamp[]): Images {
    const sprites = [...before, ...after].map(({ sprite }) => sprite);
    return drawFitting(() => {
      const ground = this.ground(random, size, sprites);
      return { input: stamped(ground, before), output: stamped(ground, after) };
    }, isVisible);
  }

  /**
   * Pairs of one icon at one place, and the result of `change`. Without an icon that it fits, which `fits` tells, the pair
   * shows no change.
   * @param change returns the changed icon, which may be larger by a margin on all sides; undefined if the change is
   * not visible, so that another icon is sampled
   */
  changed(change: IconChange): Change["images"] {
    return (random, size) => {
      const { before, after } = drawFitting(
        () => {
          const icon = this.icon(random);
          return { before: iconSprite(icon), after: change(icon) };
        },
        (drawn) => drawn.after !== undefined,
        iconAttempts,
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
