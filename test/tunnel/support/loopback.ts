import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Brings up the loopback interface of the network that the tests have to themselves. */
export async function loopback(): Promise<void> {
  await promisify(execFile)("ip", ["link", "set", "lo", "up"]);
}
