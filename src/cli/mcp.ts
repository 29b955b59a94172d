/** @file `xprompt mcp`: the model as tools for agents, over standard input and output. */
import { randomBytes } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { Command } from "commander";
import { loadOptional } from "../optional.ts";
import { ExampleLibrary } from "../retrieval/index.ts";
import { untilAborted } from "../runtime/abort.ts";
import { makeFolder, writeFileAtomic } from "../runtime/files.ts";
import { workWith } from "../runtime/resources.ts";
import { batchedEngine } from "../server/engine.ts";
import { packageVersion } from "../server/files.ts";
import { jsonLog } from "../server/log.ts";
import { makeServices } from "../server/make-services.ts";
import { readFrom } from "../server/mcp/pictures.ts";
import { mcpFactory, mcpPackage } from "../server/mcp/server.ts";
import { loadModel } from "./load.ts";
import { checkDevice, type ModelOptions, requireFolder, withModel } from "./options.ts";

interface Options extends ModelOptions {
  readonly root: string;
  readonly output?: string;
  readonly library?: string;
  readonly xprompts?: string;
}

export function mcpCommand(signal: AbortSignal): Command {
  const command = new Command("mcp").description(
    "Offer the model to agents as MCP tools over standard input and output: apply a change by example, compile a visual prompt, describe a change, search the example library.",
  );
  return withModel(command)
    .option(
      "--root <dir>",
      "folder whose pictures tools may read by their paths. Defaults to the current folder",
      ".",
    )
    .option("--output <dir>", "folder to which results are also written")
    .option("--library <place>", "example library that tools may use")
    .option("--xprompts <dir>", "folder that stores visual prompts. Defaults to memory")
    .action((options: Options) => mcp(options, signal));
}

async function mcp(options: Options, signal: AbortSignal): Promise<void> {
  const { model, library: place, xprompts: prompts, output } = options;
  const doing = "serving MCP";
  const { serveStdio } = await loadOptional(
    doing,
    mcpPackage,
    () => import("@modelcontextprotocol/server/stdio"),
  );
  const make = await mcpFactory(packageVersion());
  checkDevice(options.device);
  const root = resolve(options.root);
  await requireFolder(root, "--root");
  if (output !== undefined) await makeFolder(output, `--output ${output}`);
  await workWith(async (resources) => {
    const libraries = new Map<string, ExampleLibrary>();
    if (place !== undefined) libraries.set(basename(place), resources.own(await ExampleLibrary.open(place)));
    const loaded = resources.own(await loadModel(options));
    const engine = resources.own(batchedEngine(loaded));
    const log = jsonLog((line) => process.stderr.write(line));
    const services = await makeServices({ engine, model: basename(model), libraries, prompts, log });
    resources.defer(async () => services.close());
    const keep = async (base64: string, seed: number) => {
      const path = join(resolve(output!), `xprompt-${seed}-${randomBytes(4).toString("hex")}.png`);
      await writeFileAtomic(path, Buffer.from(base64, "base64"));
      return path;
    };
    const pictures = `Path of a PNG, JPEG or WebP below ${root}, or a data URL`;
    const tools = {
      services,
      client: "local",
      read: readFrom(root),
      pictures,
      keep: output === undefined ? undefined : keep,
    };
    const ended = new Promise<void>((resolve) => {
      process.stdin.once("end", resolve).once("close", resolve);
      untilAborted(signal).then(resolve);
    });
    const connection = serveStdio(() => make(tools), {
      onerror: (error) => log("warn", "MCP", { error: error.message }),
    });
    log("info", "serving MCP", { model: basename(model), root });
    await ended;
    services.queue.abort();
    await connection.close();
  });
}
