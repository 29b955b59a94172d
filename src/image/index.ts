/** @file Pictures: reading, writing, resampling, and contact sheets. */
export { applyChange, changedStrips } from "./apply-change.ts";
export { encodePng, type PngOptions } from "./encode-png.ts";
export { type Change, fitChange } from "./full-size.ts";
export { type ByteImage, createImage, fromBytes, type Image, rounded, toBytes } from "./image.ts";
export { maxPixels } from "./limits.ts";
export { type LoadOptions, loadBytes, loadImage, minEdge, padBox, squeeze } from "./load.ts";
export { medianFilter } from "./median.ts";
export { huggingFacePreprocessing, metaPreprocessing, type Preprocessing, preprocess } from "./preprocess.ts";
export { filters, readPreprocessing } from "./preprocess-config.ts";
export { crop, type Filter, resize } from "./resize.ts";
export {
  encodeImage,
  imageExtensions,
  readImageText,
  readPngText,
  saveImage,
  savePng,
} from "./save.ts";
export { contactSheet, type Sheet, type SheetCell, type SheetOptions, type SheetRow } from "./sheet.ts";
