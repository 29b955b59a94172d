/** @file Settings of TypeDoc. `@file` notes describe files, not what is exported from them, and are left out. */
import { OptionDefaults } from "typedoc";

const rooms = ["", "graph/", "tasks/", "retrieval/", "training/", "evaluation/", "server/"];

export default {
  name: "xprompt",
  entryPoints: [
    ...rooms.map((room) => `../../src/${room}index.ts`),
    "../../src/server/ai-sdk.ts",
    "../../src/web.ts",
  ],
  tsconfig: "../../tsconfig.build.json",
  out: "../../api",
  readme: "none",
  blockTags: [...OptionDefaults.blockTags, "@file"],
  excludeTags: [...OptionDefaults.excludeTags, "@file"],
  excludePrivate: true,
  excludeInternal: true,
  includeVersion: true,
  // TypeDoc's TypeScript is older than the project's, which `npm run check` uses.
  skipErrorChecking: true,
  // Types that appear in signatures and are not exported have no page of their own.
  validation: { notExported: false },
};
