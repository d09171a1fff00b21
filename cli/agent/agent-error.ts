/** The agent can't do what it was told on this machine: shown as it is, with what mends it. */
export class AgentError extends Error {
  override readonly name = "AgentError";
}
