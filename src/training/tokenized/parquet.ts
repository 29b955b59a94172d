/** @file Rows of tokens as a Parquet file. */
import { z } from "zod";
import { messageOf, XPromptError } from "../../errors.ts";
import { loadOptional } from "../../optional.ts";
import { checkJson } from "../../runtime/json.ts";
import { parquetReader } from "../../runtime/parquet.ts";
import type { TokenRow } from "./rows.ts";

const ids = z.array(z.int().min(0));
const rowSchema = z.object({
  part: z.string(),
  batch: z.int().min(0),
  kind: z.enum(["changes", "captions", "descriptions"]),
  tokens: ids,
  groups: ids,
  lengths: ids,
});

/** The columns of the file; lists have three levels, as the format prescribes. */
const schema = [
  { name: "root", num_children: 6 },
  { name: "part", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
  { name: "batch", type: "INT32", repetition_type: "REQUIRED" },
  { name: "kind", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
  ...["tokens", "groups", "lengths"].flatMap(
    (name) =>
      [
        { name, converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
        { name: "list", repetition_type: "REPEATED", num_children: 1 },
        { name: "element", type: "INT32", repetition_type: "REQUIRED" },
      ] as const,
  ),
] as const;

/** The package that writes Parquet. @throws XPromptError when it is not installed */
export const parquetWriter = () =>
  loadOptional("writing Parquet files", "hyparquet-writer@0.17.0", () => import("hyparquet-writer"));

/** The bytes of a Parquet file. @throws XPromptError as `parquetWriter` */
export async function encodeRows(rows: readonly TokenRow[]): Promise<Uint8Array> {
  const { parquetWriteBuffer } = await parquetWriter();
  const names = ["part", "batch", "kind", "tokens", "groups", "lengths"] as const;
  const columnData = names.map((name) => ({ name, data: rows.map((row) => row[name]) }));
  return new Uint8Array(parquetWriteBuffer({ columnData, schema: [...schema], statistics: false }));
}

/**
 * The rows of a Parquet file.
 * @param doing for errors
 * @throws XPromptError when it is none, or has other columns, or as `parquetReader`
 */
export async function decodeRows(bytes: Uint8Array, doing: string): Promise<TokenRow[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const { parquetReadObjects } = await parquetReader(doing);
  let rows: unknown;
  try {
    rows = await parquetReadObjects({ file });
  } catch (error) {
    throw new XPromptError(`${doing}: expected a Parquet file, got: ${messageOf(error)} (tokenize it again)`);
  }
  return checkJson(rows, z.array(rowSchema), doing);
}
