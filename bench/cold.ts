import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createCa, issueCertificate } from "../dev/certificates.ts";
import { installMissing } from "../test/support/debian-packages.ts";
import { PREPARED } from "../test/support/hosted-relay.ts";
import { enterNamespaces, expectNamespaces } from "../test/support/namespaces.ts";
import { NAMES } from "./cold/hosts.ts";
import type { Cold } from "./cold/inside.ts";
import { type AnswerSize, WHOLE, WINDOW_SEGMENTS } from "./cold/limits.ts";
import { DIRECT, FETCH, SQUID, WIDE_FETCH } from "./cold/sides.ts";
import type { Ratios } from "./goals.ts";
import { placeWorkerModule } from "./made-once.ts";
import { median } from "./stats.ts";
import type { Figure, Section, Workload } from "./workload.ts";

const INSIDE = join(import.meta.dirname, "cold/inside.ts");

/** A caller without a connection or a session, far from the relay, which is far from the target. */
export const cold: Workload = {
  name: "cold",
  title: "Cold calls over a long line",
  async run({ dir, quick }) {
    await expectNamespaces();
    // Nothing can be had from inside.
    await installMissing(["squid", "gcc", "libc6-dev", "iproute2"], "bench");
    const ca = await createCa("Bench CA");
    const [{ key, cert }] = await Promise.all([
      issueCertificate(ca, { dns: Object.keys(NAMES) }),
      placeWorkerModule(join(dir, PREPARED.module)),
    ]);
    const files = { [PREPARED.ca]: ca.cert, [PREPARED.cert]: cert, [PREPARED.key]: key };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text, { mode: 0o600 });
    const code = await enterNamespaces([INSIDE, dir, quick ? "quick" : "whole"], {
      NODE_EXTRA_CA_CERTS: join(dir, PREPARED.ca),
    });
    if (code !== 0) throw new Error("the run in its own namespaces failed");
    const found = JSON.parse(readFileSync(join(dir, "cold.json"), "utf8")) as Cold;
    return {
      sections: sections(found),
      ratios: ratios(found),
      peers: found.peers,
      missing: found.missing,
    };
  },
};

/** The larger window is what docs/deploy.md tells an operator to set; nothing else differs from a relay as it comes. */
function ratios({ calls }: Cold): Ratios {
  const ratio = (size: AnswerSize, side: string, to: string) =>
    median(calls[size]?.[side] ?? []) / median(calls[size]?.[to] ?? []);
  return {
    "cold-1k-direct": ratio("1 kB", FETCH, DIRECT),
    "cold-1k-squid": ratio("1 kB", FETCH, SQUID),
    "cold-100k-direct": ratio("100 kB", WIDE_FETCH, DIRECT),
  };
}

const SETUP =
  "Two lines of 20 ms there and back: from the client to the relay's host, and from there to the target, which the client reaches over both, 40 ms away. " +
  "Each is a pair of TUN devices and a program that hands packets over 10 ms later; it has no limit to its rate. " +
  "Edge, node and Squid stand on the relay's host. TCP is as Linux comes (CUBIC, an initial window of 10 segments), on all three. " +
  "A call begins without a connection or a session and ends with the last byte of the answer, which is compared; names are known to all without a look-up. A kB is 1,024 bytes.";

const IN_USE =
  "The relay is in use: others have called for seconds, and before each call another instance of the same app, which has its connections, has made one that is the same.";

const WIDER = ` With the larger window, connections from the relay's host to the client begin with ${WINDOW_SEGMENTS} segments, set by the very script of [deploy.md](deploy.md#far-callers): the edge stands on it too.`;

function sections({ lines, calls, paused }: Cold): Section[] {
  return [
    {
      title: "The lines themselves",
      note: SETUP,
      figures: figures(lines),
    },
    ...(Object.entries(calls) as [AnswerSize, Cold["lines"]][]).map(([size, found]) => ({
      title: `An answer of ${size}`,
      note: IN_USE + (size === "1 kB" ? "" : WIDER),
      figures: figures(found),
      isDrawn: true,
    })),
    ...(Object.keys(paused).length === 0
      ? []
      : [
          {
            title: "The first call after a pause",
            note: `Nobody has called for ${WHOLE.pauseMs / 1_000} s. The connection to the target is still there, but the target begins with a small window again.`,
            figures: figures(paused),
          },
        ]),
  ];
}

function figures(samples: Readonly<Record<string, readonly number[]>>): Figure[] {
  return Object.entries(samples).map(([what, all]) => ({ what, unit: "ms", samples: all }));
}
