/** @file An object of a scene, prepared for ray tracing: position, rotation, material. */
import { clamp } from "../../numbers.ts";
import { classOf, colors, type SceneObject, sizes } from "./scene.ts";
import { type Solid, solids } from "./solids.ts";
import { mapVector, mixInto, type Vector, vector } from "./vector.ts";

export class Body {
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
    const [r, g, b] = colors[object.color];
    this.color = vector(r * r, g * g, b * b);
    const bright = this.color[1] + 0.4 * this.color[0] > 0.55;
    this.second = mapVector(this.color, (value) => (bright ? value * 0.4 : value + (0.85 - value) * 0.55));
    this.gloss = object.material === "shiny" ? 1 : 0.12;
    this.classId = classOf(object.shape);
  }

  /** Distance along the ray to this object; Infinity for no hit. */
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

  /** The share of the material's second colour at a point of the unit solid, in [0, 1]. */
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
    return clamp(0.5 + wave);
  }
}
