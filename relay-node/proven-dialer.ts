import type { EgressState } from "./address-proof.ts";
import type { Dialer } from "./dialer.ts";

/**
 * A dialer that looks first, and once more where it fails, whether the node may be left at all: that says more than that
 * one target can't be reached, and sends the caller elsewhere.
 *
 * Its `dial` throws `node_out_of_service` besides what the dialer's throws.
 */
export function provenDialer(dialer: Dialer, egress: EgressState): Dialer {
  return {
    async dial(request) {
      egress.assertProven();
      try {
        return await dialer.dial(request);
      } catch (error) {
        if (request.signal?.aborted !== true) egress.assertProven();
        throw error;
      }
    },
  };
}
