import { RelayError } from "../protocol/errors.ts";

/** A connection to a target that failed after it was opened. */
export function targetFailure(error: NodeJS.ErrnoException): RelayError {
  const code = error.code ?? "no code";
  return code === "ETIMEDOUT"
    ? new RelayError("target_timeout", `the target answers no more (${code})`, { cause: error })
    : new RelayError("target_reset", `the connection to the target broke (${code})`, { cause: error });
}
