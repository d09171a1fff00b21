/** The ways to a node: by the edge, or straight from here under a grant of the edge's. */
export const VIAS = ["edge", "direct"] as const;
export type Via = (typeof VIAS)[number];

/** Tells whether a text names one of them. */
export function isVia(text: unknown): text is Via {
  return (VIAS as readonly unknown[]).includes(text);
}
