import type { EdgeConfig, EdgeNode } from "./config.ts";
import { rankNodes } from "./nodes.ts";

/** A place on earth, in degrees. */
export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** Where this request came in, and where the regions are. */
export interface Nearness {
  /** The region that is meant to be the nearest, whatever the places say. */
  readonly region?: string | undefined;
  readonly here?: Place | undefined;
  readonly regions: ReadonlyMap<string, Place>;
}

/**
 * The nodes in the order in which a request tries them: those that are up before those that are not, the nearest region
 * first, and inside a region spread by the request's id. What is down stands last and not nowhere: if everything looks
 * broken, it may be the looking.
 *
 * @example orderNodes(nodes, claims.jti, (id) => pool.isUp(id, now), nearness)[0] // gets the request
 */
export function orderNodes(
  nodes: readonly EdgeNode[],
  requestId: string,
  isUp: (id: string) => boolean,
  nearness: Nearness,
): EdgeNode[] {
  const [first] = nodes;
  if (nodes.length === 1) return [first!];
  const ranked = rankNodes(nodes, requestId).map((node, rank) => ({
    node,
    rank,
    down: Number(!isUp(node.id)),
    distance: distanceTo(node.region, nearness),
  }));
  return ranked
    .toSorted((a, b) => a.down - b.down || a.distance - b.distance || a.rank - b.rank)
    .map(({ node }) => node);
}

/** Who asks, as far as the platform tells; nothing of what the edge does of its own. */
export interface Caller {
  readonly cf?: unknown;
}

/** Where a request came in: Cloudflare tells the caller's place, and the edge that serves it is near there. */
export function nearnessOf(
  { cf }: Caller,
  { region, regions }: Pick<EdgeConfig, "region" | "regions">,
): Nearness {
  const { latitude, longitude } = (cf ?? {}) as {
    latitude?: unknown;
    longitude?: unknown;
  };
  const here = { latitude: degrees(latitude), longitude: degrees(longitude) };
  const isKnown = Number.isFinite(here.latitude) && Number.isFinite(here.longitude);
  return { region, regions, here: isKnown ? here : undefined };
}

/** Cloudflare writes degrees as text. */
function degrees(value: unknown): number {
  return typeof value === "string" && value !== "" ? Number(value) : NaN;
}

/** How far away a region is, in kilometres; the same for all of which nothing is known. */
function distanceTo(region: string | undefined, { region: own, here, regions }: Nearness): number {
  if (own !== undefined && region === own) return 0;
  const from = here ?? (own === undefined ? undefined : regions.get(own));
  const to = region === undefined ? undefined : regions.get(region);
  return from === undefined || to === undefined ? EARTH_KM : greatCircleKm(from, to);
}

/** Half the way round: farther than any known place. */
const EARTH_KM = 20_038;

/** The haversine formula on a sphere of the earth's mean radius. */
function greatCircleKm(a: Place, b: Place): number {
  const rad = (angle: number) => (angle * Math.PI) / 180;
  const half = (from: number, to: number) => Math.sin(rad(to - from) / 2) ** 2;
  const h =
    half(a.latitude, b.latitude) +
    Math.cos(rad(a.latitude)) * Math.cos(rad(b.latitude)) * half(a.longitude, b.longitude);
  return 2 * 6_371 * Math.asin(Math.sqrt(Math.min(1, h)));
}
