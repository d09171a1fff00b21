import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { type Ran, run } from "../support/run.ts";

const SCRIPT = resolve(import.meta.dirname, "../../deploy/initial-window.sh");

/** Two default routes and one more, with what such routes have. */
const HOST = [
  "ip link set lo up",
  "ip link add d0 type bridge",
  "ip link set d0 up",
  "ip addr add 192.0.2.2/24 dev d0",
  "ip -6 addr add 2001:db8::2/64 dev d0",
  "ip route add default via 192.0.2.1 dev d0 proto dhcp src 192.0.2.2 metric 100",
  "ip -6 route add default via 2001:db8::1 dev d0 metric 1024 expires 1800",
  "ip route add 198.51.100.0/24 via 192.0.2.9 dev d0",
];

/** Runs commands on a host of their own. */
function ranOn(...commands: string[]): Promise<Ran> {
  const flags = process.getuid?.() === 0 ? ["--net"] : ["--net", "--map-root-user"];
  return run("unshare", [...flags, "sh", "-c", [...HOST, ...commands].join(" && ")]);
}

/** What they wrote, line by line. */
async function onHost(...commands: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await ranOn(...commands);
  expect(code, stderr).toBe(0);
  return stdout.split("\n").map((line) => line.trim());
}

describe("deploy/initial-window.sh", () => {
  test("sets the window of the default routes, and leaves the rest of them", async () => {
    const lines = await onHost(
      `'${SCRIPT}' 60`,
      "ip route show default",
      "ip -6 route show default",
      "ip route show 198.51.100.0/24",
    );
    expect(lines[0]).toBe("default via 192.0.2.1 dev d0 proto dhcp src 192.0.2.2 metric 100 initcwnd 60");
    expect(lines[1]).toMatch(/^default via 2001:db8::1 dev d0 .*initcwnd 60/);
    expect(lines[2]).toBe("198.51.100.0/24 via 192.0.2.9 dev d0");
  });

  test("sets it anew, also of another route", async () => {
    const lines = await onHost(
      `'${SCRIPT}' 60 198.51.100.0/24`,
      `'${SCRIPT}' 10 198.51.100.0/24`,
      "ip route show 198.51.100.0/24",
      "ip route show default",
    );
    expect(lines[0]).toBe("198.51.100.0/24 via 192.0.2.9 dev d0 initcwnd 10");
    expect(lines[1]).not.toContain("initcwnd");
  });

  test.each([
    ["what is no number", "many", "many is no number of segments"],
    ["a route that there is not", "60 203.0.113.0/24", "there is no route 203.0.113.0/24"],
  ])("refuses %s", async (_, args, why) => {
    const { code, stderr } = await ranOn(`'${SCRIPT}' ${args}`);
    expect(code).not.toBe(0);
    expect(stderr).toContain(why);
  });
});
