/** @file Real pictures for training, gathered by `npm run gather` (see docs/pictures.md). */
export { isCrop, type Split } from "./format.ts";
export { openGathered } from "./open.ts";
export type { Bytes, Cutout, Gathered, Icon, IconLayer, IconSet, Photo } from "./pictures.ts";
