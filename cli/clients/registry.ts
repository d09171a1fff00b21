import { Records } from "../records/registry.ts";
import type { ClientRecord } from "./record.ts";

/** The edge's registry of clients, as an operator reads and writes it. */
export const CLIENTS = new Records<ClientRecord>("clients", (value) => value as ClientRecord);
