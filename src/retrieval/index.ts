/**
 * The example library and RAIE: retrieval of compiled examples.
 *
 * @module x-prompt/retrieval
 */
export { type Added, type AddOptions, checkExample } from "./adding.ts";
export { ClipEmbedder } from "./clip-embedder.ts";
export type { Embedder, EmbeddingSpace } from "./embedder.ts";
export type { Facts, NewExample, StoredExample, Vectors } from "./example.ts";
export { type ExportOptions, exportExamples } from "./export.ts";
export { ExampleLibrary, type OpenOptions, type Query } from "./library.ts";
export { type ModelEmbedder, modelEmbedder } from "./model-embedder.ts";
export {
  isLibrary,
  type LibrarySettings,
  librarySettings,
  type NeighbourLibrary,
  type NeighbourOptions,
  NeighbourSource,
  prepareNeighbours,
} from "./neighbours.ts";
export { compileExamples, Retriever, type RetrieverOptions } from "./raie.ts";
export type { Found } from "./search.ts";
export { exampleSheet } from "./sheet.ts";
export { defaultWeights, type Weights, wordsAlone } from "./weights.ts";
