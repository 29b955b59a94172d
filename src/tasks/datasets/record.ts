/** @file Records of data sets: pairs of pictures with their texts, and pictures with a caption. */
import type { Image } from "../../image/image.ts";

/** An encoded picture: the path of a file, or its bytes. */
export type Picture = string | Uint8Array;

/** The metadata of a pair. Texts are trimmed, and never empty. */
export interface PairTexts {
  /** Identifies the record in its set; the same in every run. */
  readonly id: string;
  /** Records of one task show the same change: one of them may serve as the example of another. */
  readonly task: string;
  /** What to do, or the caption where there is no input picture. */
  readonly instruction?: string;
  /** How the output differs from the input. */
  readonly difference?: string;
  /** What to do to get from the output to the input. */
  readonly reverseInstruction?: string;
  /** How the input differs from the output: the difference of the reversed pair. */
  readonly reverseDifference?: string;
  /** The kind of change, in the set's own words. */
  readonly subtask?: string;
  /** Name of the set. */
  readonly source: string;
  readonly licence?: string;
}

/** One record with encoded pictures. Without an input it is text to image: the instruction is the caption. */
export interface PairRecord extends PairTexts {
  readonly input?: Picture;
  readonly output: Picture;
}

/** One record with its pictures decoded to squares of the requested size. */
export interface LoadedPair extends PairTexts {
  readonly input?: Image;
  readonly output: Image;
}

/**
 * The reversed pair (paper: task augmentation), with the reverse instruction.
 * @throws RangeError for text to image, which has no reverse
 */
export function reversed(pair: LoadedPair): LoadedPair {
  if (!pair.input) throw new RangeError(`reversed: expected a pair, got text to image (${pair.id})`);
  return {
    ...pair,
    task: `${pair.task}, reversed`,
    input: pair.output,
    output: pair.input,
    instruction: pair.reverseInstruction,
    reverseInstruction: pair.instruction,
    difference: pair.reverseDifference,
    reverseDifference: pair.difference,
  };
}

/** A record as read: cells by column name, unchecked until a `PairRecord` is made. */
export interface Row {
  /** Its location, stable as long as the files are. It is the id of a record without an id column. */
  readonly place: string;
  /** The group of a record without a group column, if it is not the record's own. */
  readonly group?: string;
  readonly cells: Readonly<Record<string, unknown>>;
  /** Folder that paths in the cells are relative to, and must not leave. */
  readonly folder?: string;
}

/** The part of a record that is known without reading pictures. */
export interface RowKey {
  readonly id: string;
  /** The held-out split never separates records of one group. */
  readonly group: string;
  readonly task: string;
}

/** Records that are read together: a row group, a shard, or part of a list. */
export interface Block {
  /** Its name in reports. */
  readonly name: string;
  /** Approximate memory of a row, in bytes. */
  readonly rowBytes: number;
  /** The keys of its records, in order, one per row; a defect for a row without one. */
  keys(): Promise<readonly (RowKey | Defect)[]>;
  /** Its records, in order. */
  rows(): Promise<readonly (Row | Defect)[]>;
}

/** The kinds of defects of records. */
const defectKinds = ["picture", "missing", "metadata", "type", "path"] as const;
type DefectKind = (typeof defectKinds)[number];

/** Why a record is unusable. The record is skipped and counted. */
export class Defect extends Error {
  override name = "Defect";
  constructor(
    readonly kind: DefectKind,
    /** The record's place. */
    readonly place: string,
    reason: string,
  ) {
    super(reason);
  }
}

/** A skipped record. */
export interface Skipped {
  /** Path of its set, and its number there. */
  readonly set: string;
  readonly row: number;
  /** `place: reason`. */
  readonly why: string;
}

/** Counts of skipped records. */
export interface DefectReport {
  readonly total: number;
  readonly byKind: Readonly<Record<DefectKind, number>>;
  /** The first ones, `place: reason`. */
  readonly first: readonly string[];
}

/** Counts skipped records, each once, and stores the first reasons. */
export class DefectLog {
  private readonly byKind = Object.fromEntries(defectKinds.map((kind) => [kind, 0])) as Record<
    DefectKind,
    number
  >;
  private readonly first: string[] = [];
  private readonly rows = new Set<number>();

  /** Called for each skipped record with `place: reason`. */
  constructor(
    private readonly onAdd: (row: number, why: string) => void = () => {},
    private readonly keep = 16,
  ) {}

  /** `row`: its number in the set. */
  add(row: number, { kind, place, message }: Defect): void {
    if (this.rows.has(row)) return;
    this.rows.add(row);
    this.byKind[kind]++;
    const why = `${place}: ${message}`;
    if (this.first.length < this.keep) this.first.push(why);
    this.onAdd(row, why);
  }

  has(row: number): boolean {
    return this.rows.has(row);
  }

  report(): DefectReport {
    return { total: this.rows.size, byKind: { ...this.byKind }, first: [...this.first] };
  }
}
