import { isRelayError, RelayError } from "../protocol/errors.ts";

/** What a caller is told of a failure; the edge's own faults are logged, and what they are is not told to strangers. */
export function tellable(error: unknown): RelayError {
  if (!isRelayError(error)) {
    console.error(error);
    return new RelayError("edge_internal", "the edge failed");
  }
  if (error.status >= 500) {
    console.error(`${error.message}${error.cause instanceof Error ? ` (${error.cause.message})` : ""}`);
  }
  return error.code === "edge_misconfigured"
    ? new RelayError(error.code, "the edge is not configured")
    : error;
}
