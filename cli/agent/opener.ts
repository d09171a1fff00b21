import type { Duplex } from "node:stream";

/**
 * Opens a connection by the relay. Rejects with a RelayError. The Duplex is half-open capable: `end()` sends FIN, 'end'
 * comes when the target's FIN came, `destroy(error)` resets.
 */
export type Opener = (target: { host: string; port: number; signal?: AbortSignal }) => Promise<Duplex>;
