import { useCallback, useState } from "react";
import { lipsyncDevices, tenants } from "../../api/client";
import type { LipsyncDevices, TenantPage } from "../../api/types";
import { usePolling } from "../../hooks/usePolling";

/** Tenants on one page of the table. */
export const PAGE_SIZE = 25;

/** What the page shows: one page of the tenants, and all devices. */
export interface Overview {
  page: TenantPage;
  devices: LipsyncDevices;
  /** The place of the first tenant among those found. */
  offset: number;
}

/** Poll tenants and devices; a new search begins at the first page. */
export function useTenants() {
  const [search, setSearch] = useState("");
  const [offset, setOffset] = useState(0);
  const poll = useCallback(
    async (_: Overview | null, signal: AbortSignal): Promise<Overview> => {
      const query = { search, offset, limit: PAGE_SIZE };
      const [page, devices] = await Promise.all([tenants(query, signal), lipsyncDevices(signal)]);
      return { page, devices, offset };
    },
    [search, offset],
  );
  const polled = usePolling(poll);
  const find = useCallback((text: string) => {
    setSearch(text);
    setOffset(0);
  }, []);
  return { polled, search, find, turnTo: setOffset };
}
