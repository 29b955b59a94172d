/** Values of RGB pixels, row by row, 0 to 1. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

export function loadMaxim(task: string): Promise<(picture: Picture) => Promise<Picture>>;
