/** @file The content of a folder of gathered pictures. */

/** Bytes of a picture in row-major order, with straight alpha if there are four channels. */
export interface Bytes {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly data: Uint8Array;
}

export interface Photo {
  readonly name: string;
  /** A short caption; empty if unknown. */
  readonly words: string;
  /** RGB. */
  readonly image: Bytes;
}

export interface IconLayer {
  /** RGBA, same size as the icon. */
  readonly image: Bytes;
  /** The layer's colour, sRGB in [0, 1], if it has only one. */
  readonly color?: readonly [number, number, number];
}

export interface Icon {
  readonly name: string;
  readonly words: string;
  /** The layers from bottom to top; composited they are the icon. Decoded on each call. */
  layers(): IconLayer[];
}

export interface IconSet {
  readonly name: string;
  /** A usual name of the style: "flat emoji", "line art", "3d render". */
  readonly style: string;
  /** Sets with the same family share icon names: "emoji", "phosphor". */
  readonly family: string;
  /** Width and height of every icon in pixels. */
  readonly size: number;
  readonly icons: ReadonlyMap<string, Icon>;
}

export interface Cutout {
  readonly name: string;
  readonly words: string;
  /** RGBA; decoded on first use. */
  readonly image: Bytes;
}

export interface Gathered {
  readonly photos: readonly Photo[];
  readonly iconSets: readonly IconSet[];
  readonly cutouts: readonly Cutout[];
  /** Checksum over all indexes; identifies the gathered pictures. */
  readonly digest: string;
}
