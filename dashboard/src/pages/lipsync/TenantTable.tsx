import type { Tenant, TenantState } from "../../api/types";
import { Badge, type Tone } from "../../components/Badge";
import { RowAction } from "../../components/RowAction";
import { bytes, milliseconds, NO_VALUE, number, timeOfDay } from "../../format";

interface TenantTableProps {
  tenants: readonly Tenant[];
  /** Whether something is being loaded or unloaded. */
  busy: boolean;
  onLoad: (tenant: Tenant, reload: boolean) => void;
  onUnload: (tenant: Tenant) => void;
  onPreview: (tenant: Tenant) => void;
}

const TONES: Readonly<Record<TenantState, Tone>> = {
  resident: "good",
  loading: "accent",
  idle: "quiet",
  failed: "bad",
};

/** Mean time of a call, or null before the first. */
function perCall(tenant: Tenant): number | null {
  return tenant.usage_count ? tenant.inference_ms_total / tenant.usage_count : null;
}

/** One line per tenant: state, place, use, and what can be done with it. */
export function TenantTable({ tenants, busy, onLoad, onUnload, onPreview }: TenantTableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable
    <section className="table-scroll" aria-label="List of tenants" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Tenant</th>
            <th scope="col">State</th>
            <th scope="col" className="numeric">
              Device
            </th>
            <th scope="col" className="numeric">
              Memory
            </th>
            <th scope="col" className="numeric">
              Calls
            </th>
            <th scope="col" className="numeric">
              Per call
            </th>
            <th scope="col">Last used</th>
            <th scope="col">
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {tenants.map((tenant) => (
            <tr key={tenant.id}>
              <th scope="row">
                {tenant.id}
                <small className="quiet">
                  {[tenant.graph && `graph ${tenant.graph}`, tenant.pinned && "pinned"]
                    .filter(Boolean)
                    .join(" · ")}
                </small>
              </th>
              <td>
                <Badge tone={TONES[tenant.state]}>{tenant.state}</Badge>
                {tenant.error && <small className="tenant-error">{tenant.error}</small>}
              </td>
              <td className="numeric">{tenant.device ?? NO_VALUE}</td>
              <td className="numeric">{tenant.memory_bytes ? bytes(tenant.memory_bytes) : "–"}</td>
              <td className="numeric">{number(tenant.usage_count)}</td>
              <td className="numeric">{milliseconds(perCall(tenant))}</td>
              <td>{tenant.last_used === null ? NO_VALUE : timeOfDay(tenant.last_used)}</td>
              <td className="tenant-actions">
                <RowAction name="Preview" id={tenant.id} onClick={() => onPreview(tenant)} />
                {tenant.state === "resident" ? (
                  <>
                    <RowAction
                      name="Reload"
                      id={tenant.id}
                      disabled={busy}
                      onClick={() => onLoad(tenant, true)}
                    />
                    <RowAction
                      name="Unload"
                      id={tenant.id}
                      disabled={busy}
                      onClick={() => onUnload(tenant)}
                    />
                  </>
                ) : (
                  <RowAction
                    name="Load"
                    id={tenant.id}
                    disabled={busy || tenant.state === "loading"}
                    // A file that failed may have been repaired: it is read in any case.
                    onClick={() => onLoad(tenant, tenant.state === "failed")}
                  />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
