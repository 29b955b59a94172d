/** @file SVG documents as trees, and what of them is painted. */
import { XMLBuilder, XMLParser } from "fast-xml-parser";
import { messageOf, XPromptError } from "../../../src/errors.ts";

/** An element as fast-xml-parser keeps it in order: one key with its children, and its attributes beside it. */
export type SvgNode = Readonly<Record<string, unknown>>;

const ATTRIBUTES = ":@";
const prefix = "@_";
const options = {
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: prefix,
  suppressEmptyNode: true,
  parseTagValue: false,
  parseAttributeValue: false,
};
const parser = new XMLParser(options);
const builder = new XMLBuilder({ ...options, suppressBooleanAttributes: false });

export interface SvgDocument {
  /** Left, top, width and height of the canvas, in its own units. */
  readonly viewBox: readonly [number, number, number, number];
  /** Presentation attributes of the root, which its children inherit. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly SvgNode[];
}

/** @param label Names the drawing in errors. */
export function parseSvg(text: string, label: string): SvgDocument {
  try {
    const root = (parser.parse(text) as SvgNode[]).find((node) => tagOf(node) === "svg");
    if (!root) throw new Error("no svg element");
    const { viewBox, width, height, xmlns, id, ...attributes } = attributesOf(root);
    void [xmlns, id];
    const box = (viewBox ?? `0 0 ${width} ${height}`)
      .trim()
      .split(/[\s,]+/)
      .map(Number.parseFloat);
    if (box.length !== 4 || !box.every(Number.isFinite)) throw new Error(`viewBox ${viewBox}`);
    return { viewBox: box as [number, number, number, number], attributes, children: childrenOf(root) };
  } catch (error) {
    throw new XPromptError(`reading drawing ${label}: expected SVG, got ${messageOf(error)} (leave it out)`);
  }
}

/** The document as text, `size` pixels wide and high, showing the square `box` (left, top, side). */
export function writeSvg(
  { attributes, children }: Omit<SvgDocument, "viewBox">,
  [left, top, side]: readonly [number, number, number],
  size: number,
): string {
  const root = {
    svg: children,
    [ATTRIBUTES]: withPrefix({
      ...attributes,
      xmlns: "http://www.w3.org/2000/svg",
      "xmlns:xlink": "http://www.w3.org/1999/xlink",
      viewBox: `${left} ${top} ${side} ${side}`,
      width: String(size),
      height: String(size),
      color: "#000",
    }),
  };
  return builder.build([root]) as string;
}

export const tagOf = (node: SvgNode): string => Object.keys(node).find((key) => key !== ATTRIBUTES) ?? "";

export const childrenOf = (node: SvgNode): readonly SvgNode[] => {
  const children = node[tagOf(node)];
  return Array.isArray(children) ? (children as SvgNode[]) : [];
};

export function attributesOf(node: SvgNode): Record<string, string> {
  const attributes = (node[ATTRIBUTES] ?? {}) as Record<string, string>;
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name.slice(prefix.length), String(value)]),
  );
}

const withPrefix = (attributes: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [prefix + name, value]));

/** The element with other children. */
export const withChildren = (node: SvgNode, children: readonly SvgNode[]): SvgNode => ({
  ...node,
  [tagOf(node)]: children,
});

const painted = new Set([
  "path",
  "rect",
  "circle",
  "ellipse",
  "line",
  "polyline",
  "polygon",
  "g",
  "use",
  "image",
  "text",
]);

/** Whether the element itself paints; definitions, titles and styles do not. */
export const isPainted = (node: SvgNode): boolean => painted.has(tagOf(node));
