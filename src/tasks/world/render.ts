/**
 * @file Draws a scene by casting one ray a pixel at exact solids, four more where outlines pass, with a key light and
 * its soft shadow, ambient light and highlights; along with exact depth, normals and segmentation.
 */
import type { Image } from "../../image/image.ts";
import { classOf, colors, type Scene, type SceneObject, sizes } from "./scene.ts";
import { type Solid, solids } from "./solids.ts";
import { hillDepth, Surroundings, skyDepth, wallDistance } from "./surroundings.ts";
import { mixInto, type Vector, vector } from "./vector.ts";

/** What a picture of `width` × `height` pixels shows, row-major; all but the image is sampled at pixel centres. */
export interface Render {
  readonly image: Image;
  /** Distance along the viewing axis in world units, at most `skyDepth`. */
  readonly depth: Float32Array;
  /** Unit normals as x right, y up, z towards the camera: three numbers a pixel; zeros for the sky. */
  readonly normals: Float32Array;
  /** 0 where there is no object, i + 1 for `scene.objects[i]`. */
  readonly segmentation: Uint8Array;
  /** Index into `classNames`. */
  readonly classes: Uint8Array;
}

/** Directions to points of the light's disc around its middle, as offsets sideways and up (radians). */
const lightOffsets = [-0.09, -0.03, 0.03, 0.09];

/** One object made ready: its solid, placement, and colours in linear light. */
class Body {
  private readonly solid: Solid;
  private readonly scale: number;
  private readonly cos: number;
  private readonly sin: number;
  readonly middle: number;
  readonly reach: number;
  private readonly color: Vector;
  private readonly second: Vector;
  readonly gloss: number;
  readonly classId: number;

  constructor(readonly object: SceneObject) {
    this.solid = solids[object.shape];
    this.scale = sizes[object.size];
    this.cos = Math.cos(object.turn);
    this.sin = Math.sin(object.turn);
    this.middle = (this.solid.height / 2) * this.scale;
    this.reach = this.solid.reach * this.scale;
    this.color = Float64Array.from(colors[object.color], (value) => value * value);
    const bright = this.color[1] + 0.4 * this.color[0] > 0.55;
    this.second = this.color.map((value) => (bright ? value * 0.4 : value + (0.85 - value) * 0.55));
    this.gloss = object.material === "shiny" ? 1 : 0.12;
    this.classId = classOf(object.shape);
  }

  /** Distance along the ray to this object, Infinity for none. */
  distance(ox: number, oy: number, oz: number, dx: number, dy: number, dz: number): number {
    const x = ox - this.object.x;
    const z = oz - this.object.z;
    const y = oy - this.middle;
    const a = dx * dx + dy * dy + dz * dz;
    const b = x * dx + y * dy + z * dz;
    if (b * b < a * (x * x + y * y + z * z - this.reach * this.reach)) return Infinity;
    const { cos, sin } = this;
    const k = 1 / this.scale;
    return this.solid.distance(
      (cos * x - sin * z) * k,
      oy * k,
      (sin * x + cos * z) * k,
      (cos * dx - sin * dz) * k,
      dy * k,
      (sin * dx + cos * dz) * k,
    );
  }

  /** Writes the world normal and the unlit colour at a point of the surface. */
  surface(px: number, py: number, pz: number, normal: Vector, albedo: Vector): void {
    const { cos, sin } = this;
    const [x, z] = [(px - this.object.x) / this.scale, (pz - this.object.z) / this.scale];
    const [u, v, w] = [cos * x - sin * z, py / this.scale, sin * x + cos * z];
    this.solid.normal(u, v, w, normal);
    const [nx, nz] = [normal[0], normal[2]];
    normal[0] = cos * nx + sin * nz;
    normal[2] = cos * nz - sin * nx;
    mixInto(albedo, this.color, this.second, this.texture(u, v, w));
  }

  /** 0..1: how much of the second colour the material shows at a point of the unit solid. */
  private texture(u: number, v: number, w: number): number {
    let wave: number;
    switch (this.object.material) {
      case "striped":
        wave = 2.5 * Math.sin(7.6 * v - 0.6);
        break;
      case "checkered":
        wave = 5 * Math.cos(3.83 * u) * Math.cos(3.83 * v) * Math.cos(3.83 * w);
        break;
      case "spotted":
        wave = 2.2 * (Math.cos(5.6 * u) + Math.cos(5.6 * v) + Math.cos(5.6 * w) - 0.9);
        break;
      default:
        return 0;
    }
    return Math.min(Math.max(0.5 + wave, 0), 1);
  }
}

/** Traces rays of one scene; the fields hold the last sample. */
class Tracer {
  readonly color = vector();
  readonly normal = vector();
  depth = 0;
  instance = 0;
  classId = 0;
  private readonly bodies: readonly Body[];
  private readonly around: Surroundings;
  private readonly camera: Scene["camera"];
  private readonly cos: number;
  private readonly sin: number;
  private readonly light: Vector;
  /** World units: unit vectors across the light's direction, level and upright. */
  private readonly lightSide: Vector;
  private readonly lightUp: Vector;
  private readonly isRoom: boolean;
  private readonly reflected = vector();

  constructor(scene: Scene) {
    this.bodies = scene.objects.map((object) => new Body(object));
    this.around = new Surroundings(scene);
    this.camera = scene.camera;
    this.cos = Math.cos(scene.camera.pitch);
    this.sin = Math.sin(scene.camera.pitch);
    const { azimuth, elevation } = scene.light;
    const [level, up] = [Math.cos(elevation), Math.sin(elevation)];
    const [side, back] = [Math.sin(azimuth), Math.cos(azimuth)];
    this.light = Float64Array.of(level * side, up, -level * back);
    this.lightSide = Float64Array.of(back, 0, side);
    this.lightUp = Float64Array.of(-up * side, level, up * back);
    this.isRoom = scene.place === "room";
  }

  /** Samples the ray through (u, v): picture heights right of and above the middle. */
  sample(u: number, v: number): void {
    const { height, focal } = this.camera;
    const dx = u / focal;
    const dy = (v / focal) * this.cos - this.sin;
    const dz = (v / focal) * this.sin + this.cos;
    let t = Infinity;
    let hit: Body | undefined;
    this.instance = 0;
    for (let i = 0; i < this.bodies.length; i++) {
      const distance = this.bodies[i].distance(0, height, 0, dx, dy, dz);
      if (distance >= t) continue;
      t = distance;
      hit = this.bodies[i];
      this.instance = i + 1;
    }
    if (hit) {
      this.shadeBody(hit, t, dx, dy, dz);
    } else if (dy < 0 && !(this.isRoom && (-height / dy) * dz > wallDistance)) {
      this.shadeGround(-height / dy, dx, dz);
    } else if (this.isRoom) {
      this.shadeWall(wallDistance / dz, dx, dy);
    } else {
      this.shadeSky(dx, dy, dz);
    }
    // World to camera axes: y up the picture, z towards the camera.
    const [ny, nz] = [this.normal[1], this.normal[2]];
    this.normal[1] = ny * this.cos + nz * this.sin;
    this.normal[2] = ny * this.sin - nz * this.cos;
  }

  private shadeBody(body: Body, t: number, dx: number, dy: number, dz: number): void {
    const { color, normal, light, reflected } = this;
    const [x, y, z] = [t * dx, this.camera.height + t * dy, t * dz];
    body.surface(x, y, z, normal, color);
    this.depth = t;
    this.classId = body.classId;
    const lift = 1e-3;
    const facing = Math.max(normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2], 0);
    const lit =
      facing > 0 ? this.visible(x + lift * normal[0], y + lift * normal[1], z + lift * normal[2]) : 0;
    this.illuminate(facing * lit, 0.62 + 0.38 * normal[1] - 0.3 * Math.exp(-2.2 * y));
    // Mirror direction r = d − 2 (d·n) n gives the highlight and, on shiny things, some sky.
    const length = Math.hypot(dx, dy, dz);
    const along = (normal[0] * dx + normal[1] * dy + normal[2] * dz) / length;
    const rx = dx / length - 2 * along * normal[0];
    const ry = dy / length - 2 * along * normal[1];
    const rz = dz / length - 2 * along * normal[2];
    const align = Math.max(rx * light[0] + ry * light[1] + rz * light[2], 0);
    const { key } = this.around;
    const highlight = body.gloss * lit * align ** 24 * 1.3;
    for (let c = 0; c < 3; c++) color[c] += highlight * key[c];
    if (body.gloss === 1 && ry > 0) {
      this.around.sky(0, 0.05 + 0.4 * ry, reflected);
      mixInto(color, color, reflected, 0.12 + 0.3 * (1 + along) ** 3);
    }
  }

  private shadeGround(t: number, dx: number, dz: number): void {
    const { color, normal } = this;
    const [x, z] = [t * dx, t * dz];
    this.classId = this.around.ground(x, z, color);
    this.depth = Math.min(t, hillDepth);
    normal.fill(0);
    normal[1] = 1;
    let open = 1;
    for (const body of this.bodies) {
      const away = (x - body.object.x) ** 2 + (z - body.object.z) ** 2;
      const near = body.reach * body.reach;
      if (away < 9 * near) open *= 1 - 0.55 * Math.exp((-1.6 * away) / near);
    }
    this.illuminate(t < hillDepth ? this.visible(x, 0, z) * this.light[1] : this.light[1], open);
    this.around.fade(t, color);
  }

  private shadeWall(t: number, dx: number, dy: number): void {
    const y = this.camera.height + t * dy;
    this.around.wall(t * dx, y, this.color);
    this.depth = t;
    this.classId = classOf("backdrop");
    this.normal.fill(0);
    this.normal[2] = -1;
    const facing = Math.max(-this.light[2], 0) * 0.7 + 0.2;
    this.illuminate(facing, 0.75 + 0.06 * y - 0.25 * Math.exp(-3 * y));
  }

  private shadeSky(dx: number, dy: number, dz: number): void {
    this.classId = this.around.sky(dx / dz, dy / dz, this.color);
    this.normal.fill(0);
    const isHill = this.classId === classOf("backdrop");
    this.depth = isHill ? hillDepth : skyDepth;
    if (isHill) this.normal[2] = -1;
  }

  /** Multiplies the colour by the light that falls on it: key and ambient, each in 0..1. */
  private illuminate(key: number, ambient: number): void {
    const { color, around } = this;
    for (let c = 0; c < 3; c++) color[c] *= around.key[c] * key + around.ambient[c] * ambient;
  }

  /** The share of the light's disc that a point sees. */
  private visible(x: number, y: number, z: number): number {
    const { light, lightSide, lightUp } = this;
    let seen = lightOffsets.length;
    let mask = 0;
    for (const body of this.bodies) {
      // Most points are far from the light's cone around this body: skip them by its middle ray.
      const bx = body.object.x - x;
      const by = body.middle - y;
      const bz = body.object.z - z;
      const along = bx * light[0] + by * light[1] + bz * light[2];
      if (along < -body.reach) continue;
      const away = bx * bx + by * by + bz * bz - along * along;
      if (away > (body.reach + 0.13 * Math.max(along, 0)) ** 2) continue;
      for (let i = 0; i < lightOffsets.length; i++) {
        if (mask & (1 << i)) continue;
        const s = lightOffsets[i];
        const w = lightOffsets[((i * 2 + 1) % 5) % lightOffsets.length];
        const dx = light[0] + s * lightSide[0] + w * lightUp[0];
        const dy = light[1] + s * lightSide[1] + w * lightUp[1];
        const dz = light[2] + s * lightSide[2] + w * lightUp[2];
        if (body.distance(x, y, z, dx, dy, dz) === Infinity) continue;
        mask |= 1 << i;
        seen--;
      }
    }
    return seen / lightOffsets.length;
  }
}

/** Sub-pixel offsets of the samples where an outline passes. */
const corners = [-0.25, 0.25];

/** Renders the scene `size` × `size` pixels; the same scene looks the same at every size. */
export function renderScene(scene: Scene, size: number): Render {
  const tracer = new Tracer(scene);
  const data = new Float32Array(size * size * 3);
  const depth = new Float32Array(size * size);
  const normals = new Float32Array(size * size * 3);
  const segmentation = new Uint8Array(size * size);
  const classes = new Uint8Array(size * size);
  const put = (pixel: number, weight: number) => {
    for (let c = 0; c < 3; c++)
      data[pixel * 3 + c] += weight * Math.sqrt(Math.min(Math.max(tracer.color[c], 0), 1));
  };
  for (let y = 0, pixel = 0; y < size; y++) {
    for (let x = 0; x < size; x++, pixel++) {
      tracer.sample((x + 0.5) / size - 0.5, 0.5 - (y + 0.5) / size);
      put(pixel, 1);
      depth[pixel] = tracer.depth;
      normals.set(tracer.normal, pixel * 3);
      segmentation[pixel] = tracer.instance;
      classes[pixel] = tracer.classId;
    }
  }
  const differs = (a: number, b: number) =>
    segmentation[a] !== segmentation[b] ||
    classes[a] !== classes[b] ||
    Math.abs(normals[a * 3] - normals[b * 3]) + Math.abs(normals[a * 3 + 1] - normals[b * 3 + 1]) > 0.6;
  for (let y = 0, pixel = 0; y < size; y++) {
    for (let x = 0; x < size; x++, pixel++) {
      const isOutline =
        (x > 0 && differs(pixel, pixel - 1)) ||
        (x < size - 1 && differs(pixel, pixel + 1)) ||
        (y > 0 && differs(pixel, pixel - size)) ||
        (y < size - 1 && differs(pixel, pixel + size));
      if (!isOutline) continue;
      data.fill(0, pixel * 3, pixel * 3 + 3);
      for (const right of corners)
        for (const down of corners) {
          tracer.sample((x + 0.5 + right) / size - 0.5, 0.5 - (y + 0.5 + down) / size);
          put(pixel, 1 / 4);
        }
    }
  }
  return { image: { width: size, height: size, data }, depth, normals, segmentation, classes };
}
