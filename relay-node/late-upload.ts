import type { IncomingMessage } from "node:http";
import { LATE_UPLOAD_MS } from "./limits.ts";

/**
 * Reads and drops what still comes of a request that is answered: closing on it could cut the answer. Its connection goes where
 * that takes too long.
 */
export function dropRest(request: IncomingMessage, ms = LATE_UPLOAD_MS): void {
  request.resume();
  const timer = setTimeout(() => request.destroy(), ms);
  request.once("close", () => clearTimeout(timer));
}
