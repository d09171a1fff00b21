import { expect, test } from "vitest";
import type { EdgeConfig, PublishedAddress } from "../../worker/config.ts";
import { egressList } from "../../worker/egress-list.ts";

const TODAY = "2026-12-15";
const KEY = { kty: "OKP", crv: "Ed25519", x: "AA" };

test.each([
  { what: "since before", dates: { since: "2026-01-01" }, inUse: true, planned: [] },
  { what: "since today", dates: { since: TODAY }, inUse: true, planned: [] },
  {
    what: "since tomorrow",
    dates: { since: "2026-12-16" },
    inUse: false,
    planned: [["add", "2026-12-16"]],
  },
  {
    what: "until tomorrow",
    dates: { since: "2026-01-01", until: "2026-12-16" },
    inUse: true,
    planned: [["remove", "2026-12-16"]],
  },
  { what: "until today", dates: { since: "2026-01-01", until: TODAY }, inUse: false, planned: [] },
  {
    what: "for a time to come",
    dates: { since: "2026-12-16", until: "2026-12-20" },
    inUse: false,
    planned: [
      ["add", "2026-12-16"],
      ["remove", "2026-12-20"],
    ],
  },
])("an address $what: in use $inUse, planned $planned", ({ dates, inUse, planned }) => {
  const addresses: PublishedAddress[] = [{ address: "203.0.113.10", ...dates }];
  const nodes = [{ id: "node-1", url: "https://node-1.example.com", region: undefined, key: KEY, addresses }];
  const config: Pick<EdgeConfig, "origin" | "nodes"> = { origin: "https://edge.example.com", nodes };
  const list = egressList(config, TODAY);
  expect(list.addresses.map(({ address }) => address)).toEqual(inUse ? ["203.0.113.10"] : []);
  expect(list.planned.map(({ change, date }) => [change, date])).toEqual(planned);
});
