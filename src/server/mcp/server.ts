/** @file The MCP server, created for each connection or request. Its package is an optional peer dependency. */
import type { McpServer } from "@modelcontextprotocol/server";
import { loadOptional } from "../../optional.ts";
import type { ToolOptions } from "./tool-kit.ts";
import { addTools } from "./tools.ts";

export const mcpPackage = "@modelcontextprotocol/server@2.4.0";

export const loadMcp = (doing: string) =>
  loadOptional(doing, mcpPackage, () => import("@modelcontextprotocol/server"));

/** A factory of servers with the tools. @throws XPromptError when the package is not installed */
export async function mcpFactory(version: string): Promise<(options: ToolOptions) => McpServer> {
  const { McpServer: Server } = await loadMcp("serving MCP");
  return (options) => {
    const server = new Server(
      { name: "xprompt", version },
      { instructions: "Shows a model before/after pairs of pictures, and does the same to another picture." },
    );
    addTools(server, options);
    return server;
  };
}
