import { Records } from "../records/registry.ts";
import type { RouteForm, ToldRoute } from "./record.ts";

/** The edge's registry of routes, as an operator reads and writes it. */
export const ROUTES = new Records<RouteForm, ToldRoute>(
  "routes",
  (value) => (value as { readonly record: RouteForm }).record,
);
