/**
 * @file Data sets of image pairs: reads files, lists and shards as downloaded, and gives records in an endless order.
 */
export { MissingSplit } from "./files.ts";
export { Links } from "./links.ts";
export { type LoadedPairs, loadPairs } from "./load.ts";
export { openPairs } from "./open.ts";
export {
  type DefectReport,
  type LoadedPair,
  type PairRecord,
  type PairTexts,
  type Picture,
  reversed,
  type Skipped,
} from "./record.ts";
export { isHeldOut } from "./set-index.ts";
export { type PairsConfig, type PairsSettings, pairsSettings } from "./settings.ts";
export {
  type ContextShape,
  type PairContext,
  PairSource,
  type StreamOptions,
} from "./source.ts";
export { PairStream, type Position, positionSchema } from "./stream.ts";
