/** @file The optional packages that read Parquet files. */
import { loadOptional } from "../optional.ts";

/** What reads Parquet files, and what decompresses their pages. @throws XPromptError when they are not installed */
export async function parquetReader(doing: string) {
  const wanted = "hyparquet@1.31.5 hyparquet-compressors@1.1.2";
  const [reader, { compressors }] = await loadOptional(doing, wanted, () =>
    Promise.all([import("hyparquet"), import("hyparquet-compressors")]),
  );
  return { ...reader, compressors };
}
