/** @file Splits a drawing into layers: documents that each paint a part of it, bottom first. */
import {
  attributesOf,
  childrenOf,
  isPainted,
  type SvgDocument,
  type SvgNode,
  tagOf,
  withChildren,
} from "./svg.ts";

/** A drawing with more parts is one layer: its parts are too small to mean anything. */
const MOST_LAYERS = 12;

/** One painted element: the numbers of its ancestors and itself among their siblings, from the root down. */
type Part = readonly number[];

/** Several documents, or the document alone where it has no two parts that can be painted by themselves. */
export function splitLayers(document: SvgDocument): SvgDocument[] {
  let parts = childParts(document.children, []);
  for (;;) {
    const finer = parts.flatMap((part) => {
      const node = nodeAt(document, part);
      return isPlainGroup(node) ? childParts(childrenOf(node), part) : [part];
    });
    const changed =
      finer.length !== parts.length || finer.some((part, i) => part.length !== parts[i]!.length);
    if (!changed || finer.length > MOST_LAYERS) break;
    parts = finer;
  }
  if (parts.length < 2 || parts.length > MOST_LAYERS) return [document];
  return parts.map((part) => ({ ...document, children: only(document.children, part) }));
}

function childParts(children: readonly SvgNode[], parent: Part): Part[] {
  return [...children.keys()].filter((i) => isPainted(children[i]!)).map((i) => [...parent, i]);
}

function nodeAt(document: SvgDocument, part: Part): SvgNode {
  let children = document.children;
  for (const i of part.slice(0, -1)) children = childrenOf(children[i]!);
  return children[part.at(-1)!]!;
}

/** A group whose children look the same alone: what it says is inherited, not applied to the group as a whole. */
function isPlainGroup(node: SvgNode): boolean {
  if (tagOf(node) !== "g") return false;
  const whole = ["opacity", "filter", "mask", "clip-path", "style", "mix-blend-mode"];
  return Object.keys(attributesOf(node)).every((name) => !whole.includes(name));
}

/** The children without what is painted, but for one part. */
function only(children: readonly SvgNode[], [index, ...rest]: Part): SvgNode[] {
  return children.flatMap((child, i) => {
    if (!isPainted(child)) return [child];
    if (i !== index) return [];
    return [rest.length === 0 ? child : withChildren(child, only(childrenOf(child), rest))];
  });
}
