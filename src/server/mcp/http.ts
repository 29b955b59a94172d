/** @file The tools over HTTP. Requests are stateless: there are no sessions. */
import { XPromptError } from "../../errors.ts";
import { packageVersion } from "../files.ts";
import type { Services } from "../services.ts";
import { readDataUrl } from "./pictures.ts";
import { loadMcp, mcpFactory } from "./server.ts";

export type McpOverHttp = (request: Request, client: string) => Promise<Response>;

/** @returns undefined if the package is not installed */
export async function mcpHandler(services: Services): Promise<McpOverHttp | undefined> {
  try {
    const { createMcpHandler } = await loadMcp("serving MCP");
    const make = await mcpFactory(packageVersion());
    const pictures = "A PNG, JPEG or WebP as a data URL: data:image/png;base64,…";
    return (request, client) =>
      createMcpHandler(() => make({ services, client, read: readDataUrl, pictures }), {
        maxRequestBodySize: services.bodies.perRequest,
        onerror: (error) => services.log("warn", "MCP", { error: error.message }),
      }).fetch(request);
  } catch (error) {
    if (!(error instanceof XPromptError)) throw error;
    services.log("info", "no /mcp", { reason: error.message });
    return undefined;
  }
}
