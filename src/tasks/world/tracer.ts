/**
 * @file Traces one ray into a scene and shades its hit: a key light with soft shadows, ambient light with occlusion in
 * corners, highlights, and reflections of the sky on shiny objects.
 */
import { Body } from "./body.ts";
import { classOf, type Scene } from "./scene.ts";
import { hillDepth, Surroundings, skyDepth, wallDistance } from "./surroundings.ts";
import { mixInto, type Vector, vector } from "./vector.ts";

/** Points of the light's disc, as offsets from its middle: sideways, up, … (radians). */
const lightDisc = [-0.09, -0.03, -0.03, 0.09, 0.03, -0.09, 0.09, 0.03];
/** The share of the light from one of them. */
const lightShare = 2 / lightDisc.length;

/** Traces rays of one scene. The public fields hold the last sample. */
export class Tracer {
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
  /** Directions to the points of the light's disc. */
  private readonly lights: readonly Vector[];
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
    this.light = vector(level * side, up, -level * back);
    this.lights = Array.from({ length: lightDisc.length / 2 }, (_, i) => {
      const [s, t] = [lightDisc[2 * i]!, lightDisc[2 * i + 1]!];
      return vector(
        this.light[0] + (s * back - t * up * side),
        this.light[1] + t * level,
        this.light[2] + (s * side + t * up * back),
      );
    });
    this.isRoom = scene.place === "room";
  }

  /** Samples the ray through (u, v), in picture heights to the right of and above the centre. */
  sample(u: number, v: number): void {
    const { height, focal } = this.camera;
    const dx = u / focal;
    const dy = (v / focal) * this.cos - this.sin;
    const dz = (v / focal) * this.sin + this.cos;
    let t = Infinity;
    let hit: Body | undefined;
    this.instance = 0;
    for (let i = 0; i < this.bodies.length; i++) {
      const distance = this.bodies[i]!.distance(0, height, 0, dx, dy, dz);
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
    // The mirror direction r = d − 2 (d·n) n gives the highlight and, on shiny objects, a reflection of the sky.
    const length = Math.hypot(dx, dy, dz);
    const along = (normal[0] * dx + normal[1] * dy + normal[2] * dz) / length;
    const rx = dx / length - 2 * along * normal[0];
    const ry = dy / length - 2 * along * normal[1];
    const rz = dz / length - 2 * along * normal[2];
    const align = Math.max(rx * light[0] + ry * light[1] + rz * light[2], 0);
    const { key } = this.around;
    const highlight = body.gloss * lit * align ** 24 * 1.3;
    for (let c = 0; c < 3; c++) color[c]! += highlight * key[c]!;
    if (body.gloss === 1 && ry > 0) {
      this.around.sky(0, 0.05 + 0.4 * ry, reflected);
      mixInto(color, color, reflected, (0.12 + 0.3 * (1 + along) ** 3) * Math.min(4 * ry, 1));
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

  /** Multiplies the colour by the incoming light: key and ambient, each in [0, 1]. */
  private illuminate(key: number, ambient: number): void {
    const { color, around } = this;
    for (let c = 0; c < 3; c++) color[c]! *= around.key[c]! * key + around.ambient[c]! * ambient;
  }

  /** The share of the light's disc that is visible from a point. */
  private visible(x: number, y: number, z: number): number {
    const { light, lights, bodies } = this;
    let hidden = 0;
    let seen = 1;
    for (let b = 0; b < bodies.length; b++) {
      const body = bodies[b]!;
      // Most points are far from the light's cone around this body; the central ray excludes them.
      const dx = body.object.x - x;
      const dy = body.middle - y;
      const dz = body.object.z - z;
      const along = dx * light[0] + dy * light[1] + dz * light[2];
      if (along < -body.reach) continue;
      const away = dx * dx + dy * dy + dz * dz - along * along;
      if (away > (body.reach + 0.13 * Math.max(along, 0)) ** 2) continue;
      for (let i = 0; i < lights.length; i++) {
        if (hidden & (1 << i)) continue;
        const way = lights[i]!;
        if (body.distance(x, y, z, way[0], way[1], way[2]) === Infinity) continue;
        hidden |= 1 << i;
        seen -= lightShare;
      }
    }
    return seen;
  }
}
