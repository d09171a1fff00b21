import { isRelayError, type RelayError } from "../../client/index.ts";
import { ERRORS } from "../../protocol/errors.ts";
import { EXIT } from "../command.ts";
import { rootCause } from "../report.ts";
import { isRefusal } from "./relay-check.ts";

/** Says something about the agent itself, where the command's own output is not in the way. */
export function tell(line: string): void {
  process.stderr.write(`holdfast: ${line}\n`);
}

/** What a failure of the relay's says, with what lies behind it. */
export function relayDetail({ detail, cause }: RelayError): string {
  return cause instanceof Error ? `${detail} (${rootCause(cause)})` : detail;
}

/** A failure of the relay's in one line. */
export function relayCause(error: RelayError): string {
  return `${error.code}: ${relayDetail(error)}`;
}

/** The same with what mends it. */
export function relayFailure(error: RelayError): string {
  return `${relayCause(error)}. ${ERRORS[error.code].mend}`;
}

/** Tells why the agent could not start, and the exit code for it. */
export function startFailure(error: unknown): { readonly line: string; readonly code: number } {
  if (isRelayError(error)) {
    return { line: relayFailure(error), code: isRefusal(error) ? EXIT.refused : EXIT.unavailable };
  }
  return { line: error instanceof Error ? machineFailure(error) : String(error), code: EXIT.agentFailed };
}

function machineFailure(error: Error & { code?: string; address?: string; port?: number }): string {
  const { code, address, port } = error;
  return code === "EADDRINUSE" ? `${address}:${port} is in use: choose another port` : rootCause(error);
}
