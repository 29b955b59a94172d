/** @file The sizes of an image tokenizer. */

/** Sizes of an image tokenizer; the published Chameleon's in brackets. */
export interface VqganConfig {
  /** Side of the square pictures in pixels (512). */
  readonly resolution: number;
  /** Channels at full resolution (128). */
  readonly baseChannels: number;
  /** Channels of each level as a multiple; every level except the last halves the sides (1, 1, 2, 2, 4). */
  readonly channelMultiplier: readonly number[];
  /** Residual blocks per level of the encoder; the decoder has one more (2). */
  readonly residualBlocks: number;
  /** Channels of the encoder's output (256). */
  readonly latentChannels: number;
  /** Width of a code (256). */
  readonly embedDim: number;
  /** Number of codes (8192). */
  readonly codes: number;
  /** Groups of every group normalization (32). */
  readonly normGroups: number;
  /** Sides at which attention follows every residual block, besides the middle (none). */
  readonly attentionResolutions?: readonly number[];
  /** The same for the decoder. Defaults to the encoder's. */
  readonly decoderAttentionResolutions?: readonly number[];
  /** Whether the decoder takes code vectors of length 1, as Janus's does (no). */
  readonly unitCodes?: boolean;
  /**
   * Side in pixels of the tiles that the encoder encodes independently (the whole picture). A code then depends only on
   * its tile, so that an edit changes no codes elsewhere. The decoder always sees the whole grid.
   */
  readonly encoderTile?: number;
  /**
   * The latent of a cell is its raw pixels: no encoder network, `embedDim` = 3 · cell², and a residual decoder on the grid
   * of cells (`patches.ts`). `latentChannels` and `normGroups` are then unused.
   */
  readonly patches?: boolean;
}
