/** @file Sizes of an image tokenizer, whatever it is made of. */

/** Sizes of an image tokenizer; the published Chameleon's in brackets. */
export interface VqganConfig {
  /** Side of the square pictures in pixels (512). */
  readonly resolution: number;
  /** Channels at full resolution (128). */
  readonly baseChannels: number;
  /** Channels of each level as a multiple; every level but the last halves the sides (1, 1, 2, 2, 4). */
  readonly channelMultiplier: readonly number[];
  /** Residual blocks a level in the encoder; the decoder has one more (2). */
  readonly residualBlocks: number;
  /** Channels of the encoder's output (256). */
  readonly latentChannels: number;
  /** Width of a code (256). */
  readonly embedDim: number;
  /** Number of codes (8192). */
  readonly codes: number;
  /** Groups of every group normalization (32). */
  readonly normGroups: number;
  /** Sides at which every residual block is followed by attention, besides the middle's (none). */
  readonly attentionResolutions?: readonly number[];
  /** The same of the decoder, where they are not the encoder's. */
  readonly decoderAttentionResolutions?: readonly number[];
  /** The decoder takes code vectors of length 1, as Janus's does (no). */
  readonly unitCodes?: boolean;
  /**
   * Side in pixels of the tiles that the encoder sees by themselves (the whole picture). A code then depends on nothing
   * outside its tile, so that what an edit leaves alone keeps its codes. The decoder always sees all of them.
   */
  readonly encoderTile?: number;
  /**
   * The latent of a cell is its own pixels: no encoder network, `embedDim` = 3 · cell², and a residual decoder
   * on the grid of cells (`patches.ts`). `latentChannels` and `normGroups` then mean nothing.
   */
  readonly patches?: boolean;
}
