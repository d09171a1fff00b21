import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { startWorker } from "../bare-worker.ts";
import type { PeerPlace, RunningPeer } from "./peer.ts";

const SOURCE = resolve(import.meta.dirname, "../workers/pass-through.ts");

/**
 * A worker of Hono's in the workerd that the edge runs in, with the edge's compatibility flags, which hands everything on.
 * @param to the origin that it hands on to
 * @param ca PEM of the authority of the origin's certificate, where it has one
 */
export async function startPassThrough(place: PeerPlace, to: string, ca?: string): Promise<RunningPeer> {
  const { process, version } = await startWorker(place, SOURCE, { TO: to }, ca);
  const { host, port } = place;
  return {
    name: "Hono pass-through",
    version,
    config: readFileSync(SOURCE, "utf8"),
    process,
    host,
    port,
  };
}
