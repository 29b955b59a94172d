/** @file What a folder of gathered pictures holds, as training reads it. */

/** Bytes of a picture, row by row from the top left, straight alpha where there are four channels. */
export interface Bytes {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly data: Uint8Array;
}

export interface Photo {
  readonly name: string;
  /** A short caption; empty where none is known. */
  readonly words: string;
  /** RGB. */
  readonly image: Bytes;
}

export interface IconLayer {
  /** RGBA, as large as the icon. */
  readonly image: Bytes;
  /** The layer's one flat colour, sRGB in [0, 1]; absent where it has several. */
  readonly color?: readonly [number, number, number];
}

export interface Icon {
  readonly name: string;
  readonly words: string;
  /** Bottom first: laid over one another they are the icon. Decoded on each call. */
  layers(): IconLayer[];
}

export interface IconSet {
  readonly name: string;
  /** How a person would call the style: "flat emoji", "line art", "3d render". */
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
  /** RGBA; decoded when it is first asked for. */
  readonly image: Bytes;
}

export interface Gathered {
  readonly photos: readonly Photo[];
  readonly iconSets: readonly IconSet[];
  readonly cutouts: readonly Cutout[];
  /** Checksum over all indexes: names what was gathered. */
  readonly digest: string;
}
