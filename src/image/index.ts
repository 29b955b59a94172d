/** @file Pictures: reading, writing, resampling, and contact sheets. */
export { createImage, fromBytes, type Image, toBytes } from "./image.ts";
export { type LoadOptions, loadImage, maxPixels, minEdge, padBox } from "./load.ts";
export { medianFilter } from "./median.ts";
export { huggingFacePreprocessing, metaPreprocessing, type Preprocessing, preprocess } from "./preprocess.ts";
export { filters, readPreprocessing } from "./preprocess-config.ts";
export { crop, type Filter, resize } from "./resize.ts";
export { encodePng, type PngOptions, readPngText, savePng } from "./save.ts";
export { contactSheet, type Sheet, type SheetCell, type SheetOptions, type SheetRow } from "./sheet.ts";
