/** @file All sets, in the order in which they are gathered. */
import type { GatherSet } from "./found.ts";
import { emojiSets } from "./icons/emoji.ts";
import { weightSets } from "./icons/weights.ts";
import { photoSets } from "./photos/index.ts";

export const sets: readonly GatherSet[] = [...photoSets, ...emojiSets, ...weightSets];
