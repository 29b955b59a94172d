/** @file Shared parts of the icon families: random icons, and pairs that differ in the sprites on one background. */
import type { Image } from "../../../image/image.ts";
import type { Random } from "../../../random.ts";
import type { Gathered, Icon, IconSet, Photo } from "../../gathered/index.ts";
import type { Change, Images } from "../../task.ts";
import { drawGround, drawPlace, iconSprite, namesOf } from "../../worlds/icons.ts";
import { type Sprite, type Stamp, stamped } from "../../worlds/sprite.ts";
import { drawFitting, isVisible } from "../visible.ts";

/** Attempts to find an icon that a change fits. */
const iconAttempts = 1000;
/** The most icons of each set that are looked at to know whether a change fits any. */
const probes = 60;

/** Returns the changed icon; undefined for an icon that the change does not fit. */
export type IconChange = (icon: Icon) => Sprite | undefined;

/** The sprites of the two pictures of a pair. */
export interface Stamps {
  readonly before: readonly Stamp[];
  readonly after: readonly Stamp[];
}

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

  /** Two pictures with the same background and other sprites, which differ visibly. @param draw samples the sprites */
  pair(random: Random, size: number, draw: () => Stamps): Images {
    return drawFitting(() => {
      const { before, after } = draw();
      const ground = this.ground(
        random,
        size,
        [...before, ...after].map(({ sprite }) => sprite),
      );
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
    return (random, size) =>
      this.pair(random, size, () => {
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
        return {
          before: [{ sprite: before, place }],
          after: [{ sprite: changed, place: { ...place, side } }],
        };
      });
  }
}
