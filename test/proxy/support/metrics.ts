import { METRICS_PORT, POOL, WIRE } from "./hosts.ts";

/** A node's metrics, by name with labels. */
export async function metricsOf(id: string): Promise<ReadonlyMap<string, number>> {
  const { host } = POOL.find((place) => place.id === id)!;
  const text = await WIRE.inside(host, [`curl -sS --fail http://127.0.0.1:${METRICS_PORT}/metrics`]);
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(" ")),
      Number(line.slice(line.lastIndexOf(" ") + 1)),
    ]),
  );
}
