import { isRelayError, RelayError } from "../protocol/errors.ts";

/** What a door answers with: the relay's own failure, or that the node failed in a way that nobody thought of. */
export function asRelayError(error: unknown): RelayError {
  if (isRelayError(error)) return error;
  return new RelayError("node_internal", "the node failed", { cause: error });
}
