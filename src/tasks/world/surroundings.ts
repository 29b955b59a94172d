/**
 * @file The background of a scene: sky, ground, and hills, sea or a wall, in smooth colours that depend on place,
 * season and time of day. Colours here are linear (sRGB squared); the renderer takes the root at the end.
 */

import { clamp } from "../../numbers.ts";
import { classOf, isOutdoors, type Place, type Rgb, type Scene, type Season, type Time } from "./scene.ts";
import { mapVector, mixInto, type Vector, vector } from "./vector.ts";

/** Sky near the horizon and above, key light and ambient light of a time of day. */
interface Hour {
  readonly horizon: Rgb;
  readonly zenith: Rgb;
  readonly key: Rgb;
  readonly ambient: Rgb;
  readonly disc?: Rgb;
}

const hours: Readonly<Record<Time, Hour>> = {
  day: {
    horizon: [0.8, 0.9, 0.98],
    zenith: [0.3, 0.56, 0.92],
    key: [0.98, 0.92, 0.82],
    ambient: [0.24, 0.28, 0.34],
  },
  sunset: {
    horizon: [1, 0.68, 0.36],
    zenith: [0.5, 0.34, 0.6],
    key: [1, 0.55, 0.26],
    ambient: [0.26, 0.2, 0.27],
    disc: [1, 0.93, 0.66],
  },
  night: {
    horizon: [0.26, 0.32, 0.55],
    zenith: [0.05, 0.08, 0.24],
    key: [0.24, 0.3, 0.48],
    ambient: [0.09, 0.11, 0.19],
    disc: [0.94, 0.94, 0.84],
  },
};

const indoors: Hour = { ...hours.day, key: [0.92, 0.87, 0.8], ambient: [0.29, 0.28, 0.27] };

const meadows: Readonly<Record<Season, { readonly grass: Rgb; readonly woods: Rgb }>> = {
  spring: { grass: [0.55, 0.74, 0.36], woods: [0.85, 0.62, 0.7] },
  summer: { grass: [0.33, 0.57, 0.24], woods: [0.17, 0.4, 0.22] },
  autumn: { grass: [0.67, 0.57, 0.29], woods: [0.76, 0.39, 0.14] },
  winter: { grass: [0.89, 0.92, 0.96], woods: [0.62, 0.7, 0.78] },
};

const sand: Readonly<Partial<Record<Place, Rgb>>> = { desert: [0.86, 0.65, 0.42], beach: [0.91, 0.82, 0.63] };

/** Planar depth of the hills, and of the sky, which is the farthest. */
export const hillDepth = 25;
export const skyDepth = 40;
/** Distance of the room's wall and of the sea (world z). */
export const wallDistance = 10.5;
const shoreDistance = 11;

const linear = ([r, g, b]: Rgb): Vector => vector(r * r, g * g, b * b);

/** A smooth sRGB colour of the given hue (turns) for painted walls. */
function paint(hue: number, lightness: number, strength: number): Rgb {
  const channel = (shift: number) => lightness + strength * Math.cos(2 * Math.PI * (hue - shift));
  return [channel(0), channel(1 / 3), channel(2 / 3)];
}

/** 0 below `low`, 1 above `high`, smooth between. */
const smoothStep = (low: number, high: number, x: number): number => {
  const t = clamp((x - low) / (high - low));
  return t * t * (3 - 2 * t);
};

/** The colours and shapes of one scene's background, prepared for queries per ray. */
export class Surroundings {
  readonly key: Vector;
  readonly ambient: Vector;
  private readonly place: Place;
  private readonly phase: number;
  private readonly floor: Scene["surroundings"]["floor"];
  private readonly horizon: Vector;
  private readonly zenith: Vector;
  private readonly disc: Vector | undefined;
  private readonly soil: Vector;
  private readonly soilDark: Vector;
  private readonly back: Vector;
  private readonly backDark: Vector;

  constructor(scene: Scene) {
    const { phase, hue, floor } = scene.surroundings;
    const hour = isOutdoors(scene.place) ? hours[scene.time] : indoors;
    this.place = scene.place;
    this.phase = phase;
    this.floor = floor;
    this.key = linear(hour.key.map(Math.sqrt) as unknown as Rgb);
    this.ambient = linear(hour.ambient.map(Math.sqrt) as unknown as Rgb);
    this.disc = hour.disc && linear(hour.disc);
    let [soil, back]: [Rgb, Rgb] = [sand[scene.place] ?? [0, 0, 0], [0.2, 0.47, 0.66]];
    let sky: [Rgb, Rgb] = [hour.horizon, hour.zenith];
    if (scene.place === "meadow") [soil, back] = [meadows[scene.season].grass, meadows[scene.season].woods];
    else if (scene.place === "desert") back = [0.78, 0.5, 0.32];
    else if (scene.place === "room") [soil, back] = [paint(hue + 0.35, 0.58, 0.13), paint(hue, 0.72, 0.12)];
    else if (scene.place === "studio") {
      soil = paint(hue, 0.68, 0.14);
      sky = [soil, paint(hue, 0.42, 0.12)];
    }
    [this.horizon, this.zenith] = [linear(sky[0]), linear(sky[1])];
    [this.soil, this.back] = [linear(soil), linear(back)];
    const shade = scene.place === "room" ? 0.68 : 0.78;
    this.soilDark = mapVector(this.soil, (value) => value * shade);
    this.backDark = mapVector(this.back, (value) => value * 0.55);
  }

  /** Writes the sky's radiance in direction (x, y, 1) and returns its class: sky, or the hills before it. */
  sky(x: number, y: number, out: Vector): number {
    const hills = this.hillHeight(x);
    if (y < hills) {
      mixInto(out, this.backDark, this.back, smoothStep(-0.02, hills, y));
      for (let c = 0; c < 3; c++) out[c]! *= this.ambient[c]! * 1.1 + this.key[c]! * 0.75;
      mixInto(out, out, this.horizon, 0.28);
      return classOf("backdrop");
    }
    mixInto(out, this.horizon, this.zenith, Math.min(Math.sqrt(Math.max(y, 0) / 0.42), 1));
    if (this.disc) {
      const away = Math.hypot(x - 0.3 * Math.sin(this.phase * 5), y - 0.12);
      mixInto(out, out, this.disc, 0.25 * Math.exp(-away * 9) + smoothStep(0.058, 0.046, away));
    }
    return classOf("sky");
  }

  /** Writes the ground's colour (unlit) at (x, z) and returns its class: ground, or the sea on it. */
  ground(x: number, z: number, out: Vector): number {
    const { phase } = this;
    if (this.place === "beach") {
      const shore = shoreDistance + 0.8 * Math.sin(0.45 * x + phase) - z;
      mixInto(out, this.back, this.soil, smoothStep(-0.5, 0.5, shore));
      if (shore < 0) return classOf("backdrop");
      for (let c = 0; c < 3; c++) out[c]! *= 1 - 0.1 * smoothStep(1.6, 0, shore);
      return classOf("ground");
    }
    mixInto(out, this.soil, this.soilDark, this.pattern(x, z));
    return classOf("ground");
  }

  /** Writes the wall's colour (unlit) at (x, y): a dado below, a lighter field above. */
  wall(x: number, y: number, out: Vector): void {
    const dado = smoothStep(1.06, 0.94, y);
    mixInto(out, this.back, this.backDark, 0.75 * dado + 0.08 * Math.sin(0.5 * x + this.phase));
  }

  /** Blends a lit ground colour into the horizon with planar depth. */
  fade(depth: number, out: Vector): void {
    if (this.place === "room") return;
    const [reach, power, most] = this.place === "studio" ? [13, 3, 1] : [30, 2, 0.3];
    mixInto(out, out, this.horizon, most * (1 - Math.exp(-((depth / reach) ** power))));
  }

  /** Tangent of the hills' elevation in direction (x, ·, 1); below the horizon without hills. */
  private hillHeight(x: number): number {
    const { phase } = this;
    if (this.place === "meadow")
      return 0.075 + 0.03 * Math.sin(4 * x + phase) + 0.012 * Math.abs(Math.sin(13 * x + 2 * phase));
    if (this.place === "desert")
      return 0.05 + 0.045 * Math.sin(5 * x + phase) * Math.sin(2.3 * x + 2 * phase);
    return -1;
  }

  /** How dark the ground's texture is at (x, z), in [0, 1]; low contrast, fades with distance. */
  private pattern(x: number, z: number): number {
    if (this.place === "studio" || (this.place === "room" && this.floor === "plain")) return 0;
    return 0.5 + this.wave(x, z) / (1 + (z / 10) ** 4);
  }

  /** The ground's texture in [−0.5, 0.5]: patches of grass, ripples of sand, boards or tiles. */
  private wave(x: number, z: number): number {
    const { phase } = this;
    if (this.place === "meadow")
      return (
        0.3 * Math.sin(1.3 * x + phase) * Math.sin(0.9 * z + 2 * phase) + 0.2 * Math.sin(2.9 * x - 1.7 * z)
      );
    if (this.place === "desert") return 0.45 * Math.sin(2.2 * z + 0.8 * Math.sin(0.9 * x + phase) + phase);
    const cells =
      this.floor === "planks" ? Math.sin(3.4 * x) : 3 * Math.sin(2.4 * x) * Math.sin(2.4 * z + phase);
    return smoothStep(-0.4, 0.4, cells) - 0.5;
  }
}
