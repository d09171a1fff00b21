import { createRelay, isRelayError } from "holdfast";
import { pgStream } from "holdfast/node";
import pg from "pg";

// Made once for all invocations that this instance of the function gets.
const relay = createRelay(process.env.HOLDFAST_URL);
const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  stream: pgStream(process.env.HOLDFAST_URL),
  max: 1,
  // Between invocations the instance is frozen for as long as Lambda likes: a connection that was idle then may be dead.
  idleTimeoutMillis: 1_000,
  maxLifetimeSeconds: 60,
});
pool.on("error", (error) => console.error(`an idle connection ended: ${error.message}`));

/**
 * Books one order: asks the bank for its rate, and writes it down.
 *
 * @param {{ readonly order: string }} event
 * @returns {Promise<{ statusCode: number, body: string }>}
 */
export async function handler(event) {
  try {
    const response = await relay.fetch(process.env.RATES_URL);
    if (!response.ok) return answer(502, { error: `the bank answered ${response.status}` });
    const { rate } = await response.json();
    const { rows } = await pool.query(
      "insert into bookings (made_for, rate) values ($1, $2) returning id, host(inet_client_addr()) as address",
      [event.order, rate],
    );
    return answer(201, { ...rows[0], rate });
  } catch (error) {
    if (!isRelayError(error)) throw error;
    // Whether the bank or the database can have seen it, the error says: only what they have not is safe to be asked again.
    console.error(`${error.code}: ${error.detail} (reached: ${error.reached})`);
    return answer(error.retryable ? 503 : 500, { error: error.code });
  }
}

/**
 * @param {number} statusCode
 * @param {Readonly<Record<string, unknown>>} body
 */
function answer(statusCode, body) {
  return { statusCode, body: JSON.stringify(body) };
}
