import { isRelayError, RelayError } from "../../client/index.ts";
import type { ErrorCode } from "../../protocol/errors.ts";
import { rootCause } from "../report.ts";

/** Any failure as one of the relay's own kind. */
export function asRelayError(error: unknown, code: ErrorCode = "connect_failed"): RelayError {
  if (isRelayError(error)) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  return new RelayError(code, rootCause(cause), { cause });
}
