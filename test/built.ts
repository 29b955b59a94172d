/** @file The built command line. A build that is older than its source is refused: its tests would say nothing. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("..", import.meta.url));
export const bin = join(repository, "bin", "xprompt.js");

/** Written by every build. */
const marker = join(repository, "dist", "index.js");
const builtAt = existsSync(marker) ? statSync(marker).mtimeMs : 0;
const changed = ["src", "recipes"].flatMap((folder) =>
  readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name))
    .filter((path) => statSync(join(repository, path)).mtimeMs > builtAt),
);
if (changed.length > 0) throw new Error(`dist is older than ${changed[0]} (npm run build)`);
