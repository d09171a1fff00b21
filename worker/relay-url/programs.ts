import { RelayError } from "../../protocol/errors.ts";

/**
 * Refuses what a relay URL is not for. A page, script or worker that a browser loaded from one would be of the edge's own
 * origin, and so would what it stores there, whoever's target it came from.
 *
 * Node's `fetch` says `Sec-Fetch-Mode: cors` of all its requests and none of the other three fields, so that one alone tells
 * nothing.
 *
 * @throws RelayError `method_not_allowed`, `request_invalid`
 */
export function assertProgram({ method, headers }: Pick<Request, "method" | "headers">): void {
  if (method === "TRACE") throw new RelayError("method_not_allowed", "TRACE can't be relayed");
  if (headers.get("upgrade")?.toLowerCase().includes("websocket") === true) {
    throw new RelayError(
      "request_invalid",
      "a relay URL carries no WebSocket: open a stream, or go through the proxy",
    );
  }
  const sign = browsersSign(method, headers);
  if (sign !== undefined) {
    throw new RelayError("request_invalid", `a relay URL is for programs, and this is a browser's: ${sign}`);
  }
}

function browsersSign(method: string, headers: Headers): string | undefined {
  if (headers.has("service-worker")) return "it asks for a service worker's script";
  if (method === "OPTIONS" && headers.has("access-control-request-method")) return "it is a CORS preflight";
  if (headers.has("sec-fetch-site")) return "it has Sec-Fetch-Site";
  if ((headers.get("sec-fetch-dest") ?? "empty") !== "empty") return "its Sec-Fetch-Dest is not empty";
  if ((headers.get("sec-fetch-mode") ?? "cors") !== "cors") return "its Sec-Fetch-Mode is not cors";
  return undefined;
}
