/** Says that a process is in the namespaces that `run.ts` makes. */
export const INSIDE = "HOLDFAST_TUNNEL_INSIDE";

/** Sees to it that no test touches the machine's own network. */
export function setup(): void {
  if (process.env[INSIDE] === undefined) {
    throw new Error("these tests change the network that they run in: start them by npm run test:tunnel");
  }
}
