/**
 * @file Families of icons. Icon, place and background are random for each pair; the task is what happens to the icon.
 */
import type { Gathered } from "../../gathered/index.ts";
import { ofWorld, type TaskFamily } from "../../task.ts";
import { iconLookFamilies } from "./looks.ts";
import { iconPlaceFamilies } from "./places.ts";
import { IconSource } from "./source.ts";
import { iconStyleFamilies } from "./styles.ts";

export function iconFamilies(gathered: Gathered): readonly TaskFamily[] {
  const source = new IconSource(gathered);
  return ofWorld("icons", [
    ...iconStyleFamilies(source),
    ...iconLookFamilies(source),
    ...iconPlaceFamilies(source),
  ]);
}
