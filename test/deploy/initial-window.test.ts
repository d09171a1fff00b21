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
  "ip -6 addr add 2001:db8::2/64 dev d0 nodad",
  "ip -6 addr add dead:beef::2/64 dev d0 nodad",
  "ip route add default via 192.0.2.1 dev d0 proto dhcp src 192.0.2.2 metric 100",
  "ip -6 route add default via 2001:db8::1 dev d0 metric 1024",
  "ip route add 198.51.100.0/24 via 192.0.2.9 dev d0",
];

const SHOW = ["ip route show", "ip -6 route show"];

/** What a router announced, as Linux keeps it. */
const ANNOUNCED = [
  "ip -6 route del default",
  "ip -6 route add default via 2001:db8::1 dev d0 proto ra metric 1024 expires 1800",
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

  test.each([
    ["of a route without a word of its own", []],
    [
      "of routes with many",
      [
        "ip route change default via 192.0.2.1 dev d0 metric 100 mtu lock 1400 rto_min 40ms initrwnd 20 congctl lock reno",
        "ip route add default via 192.0.2.9 dev d0 onlink metric 200",
        "ip -6 route add default via 2001:db8::9 dev d0 proto static metric 77",
      ],
    ],
    [
      "by a gateway that begins with a word for a state",
      ["ip -6 route change default via dead:beef::1 dev d0 metric 1024"],
    ],
    [
      "with one set by somebody else",
      ["ip route change default via 192.0.2.1 dev d0 metric 100 initcwnd 20"],
    ],
  ])("sets the window, and takes it away again, %s", async (_, routes) => {
    const lines = await onHost(
      ...routes,
      ...SHOW,
      `echo then`,
      `'${SCRIPT}' 60`,
      `'${SCRIPT}' 60`,
      ...SHOW,
      `echo then`,
      `'${SCRIPT}' undo 60`,
      `'${SCRIPT}' undo 60`,
      ...SHOW,
    );
    const [before, during, after] = lines.join("\n").trim().split("\nthen\n");
    expect(during).toContain("initcwnd 60");
    expect(during!.replaceAll(/ initcwnd \d+/g, "")).toBe(before!.replaceAll(/ initcwnd \d+/g, ""));
    expect(after).toBe(before);
  });

  test("leaves a window alone that somebody else set", async () => {
    const { code, stdout, stderr } = await ranOn(
      "ip route change default via 192.0.2.1 dev d0 metric 100 initcwnd 20",
      `'${SCRIPT}' 60`,
      "ip route show default",
      "ip -6 route show default",
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/initcwnd 20 *\n.* initcwnd 60/);
    expect(stderr).toContain("an IPv4 route default keeps the initcwnd that it has");
  });

  test("sets that of another route", async () => {
    const lines = await onHost(
      `'${SCRIPT}' 60 198.51.100.0/24`,
      "ip route show 198.51.100.0/24",
      "ip route show default",
    );
    expect(lines[0]).toBe("198.51.100.0/24 via 192.0.2.9 dev d0 initcwnd 60");
    expect(lines[1]).not.toContain("initcwnd");
  });

  test.each([
    ["one", []],
    ["two", ["ip -6 route append default via 2001:db8::9 dev d0 proto ra metric 1025 expires 1800"]],
  ])("leaves %s that a router announced, and does IPv4", async (_, more) => {
    const { code, stdout, stderr } = await ranOn(
      ...ANNOUNCED,
      ...more,
      `'${SCRIPT}' 60`,
      "ip route show default",
      "ip -6 route show default",
    );
    expect(code, stderr).toBe(0);
    const [four, ...six] = stdout.trim().split("\n");
    expect(four).toContain("initcwnd 60");
    expect(six).toHaveLength(1 + more.length);
    for (const line of six) {
      expect(line).toMatch(/^default via 2001:db8::[19] dev d0 proto ra .*expires \d+sec(?!.*initcwnd)/);
    }
    expect(stderr).toContain("IPv6 is left as it is");
    expect(stderr).toContain("network manager");
  });

  test("fails where a router announced all that there is", async () => {
    const { code, stderr } = await ranOn("ip route del default", ...ANNOUNCED, `'${SCRIPT}' 60`);
    expect(code).toBe(1);
    expect(stderr).toContain("IPv6 is left as it is");
  });

  test.each([
    [
      "two of IPv4 at one metric",
      "is there twice with one metric",
      ["ip route append default via 192.0.2.9 dev d0 metric 100"],
    ],
    [
      "two of IPv4 at none",
      "is there twice with one metric",
      ["ip route add default via 192.0.2.1 dev d0", "ip route append default via 192.0.2.9 dev d0"],
    ],
    [
      "one of IPv4 with two gateways",
      "has several gateways",
      ["ip route add default metric 9 nexthop via 192.0.2.1 dev d0 nexthop via 192.0.2.9 dev d0"],
    ],
    [
      "one of IPv6 with two gateways",
      "the IPv6 route default has several gateways",
      [
        "ip -6 route del default",
        "ip -6 route add default nexthop via 2001:db8::1 dev d0 nexthop via 2001:db8::9 dev d0",
      ],
    ],
    [
      "one whose gateway is kept apart",
      "has several gateways",
      ["ip nexthop add id 5 via 192.0.2.9 dev d0", "ip route add default nhid 5 metric 300"],
    ],
  ])("refuses %s, and changes nothing", async (_, why, routes) => {
    const { code, stdout, stderr } = await ranOn(
      ...routes,
      ...SHOW,
      `{ '${SCRIPT}' 60; echo ended $?; }`,
      ...SHOW,
    );
    expect(code, stderr).toBe(0);
    const [before, after] = stdout.split("ended 1\n");
    expect(after).toBe(before);
    expect(stderr).toContain(why);
    expect(stderr).toContain("nothing is changed");
    expect(stderr).toContain("network manager");
  });

  test.each([
    ["what is no number", "many", "many is no number of segments"],
    ["nothing", "", "nothing is no number of segments"],
    ["a route that there is not", "60 203.0.113.0/24", "there is no route 203.0.113.0/24"],
  ])("refuses %s", async (_, args, why) => {
    const { code, stderr } = await ranOn(`'${SCRIPT}' ${args}`);
    expect(code).not.toBe(0);
    expect(stderr).toContain(why);
  });
});
