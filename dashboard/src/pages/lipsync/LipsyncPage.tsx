import { useState } from "react";
import { loadTenant, unloadTenant } from "../../api/client";
import type { Tenant } from "../../api/types";
import { Badge } from "../../components/Badge";
import { Card } from "../../components/Card";
import { Freshness } from "../../components/Freshness";
import { EmptyState, Failure, Skeleton } from "../../components/Notice";
import { number } from "../../format";
import { useAction } from "../../hooks/useAction";
import { DeviceCard } from "./DeviceCard";
import { Pager } from "./Pager";
import { SpeakingFace } from "./SpeakingFace";
import { TenantTable } from "./TenantTable";
import { useClip } from "./useClip";
import { usePreview } from "./usePreview";
import { useTenants } from "./useTenants";

/** Tenants, where they are, the devices' memory, and a frame of any of them. */
export default function LipsyncPage() {
  const { polled, search, find, turnTo } = useTenants();
  const { data, error, refresh } = polled;
  const moving = useAction<Tenant>("Lip-sync");
  const { preview, busy: drawing, show } = usePreview();
  const { clip, busy: speaking, speak } = useClip();
  const [speaks, setSpeaks] = useState(false);
  const busy = drawing || speaking;
  const move = (action: (signal: AbortSignal) => Promise<Tenant>) =>
    void moving.run(action).then(refresh);
  const sample = data?.page.tenants.find(({ state }) => state === "resident" || state === "idle");
  const shown = speaks && clip ? clip : preview;
  const speaker = shown?.tenant ?? sample?.id;
  return (
    <>
      <div className="toolbar">
        <Freshness polled={polled} />
        {data && (
          <p className="quiet">
            {data.devices.queue.in_flight} of {data.devices.queue.slots} slots ·{" "}
            {data.devices.queue.waiting} waiting
          </p>
        )}
      </div>
      {!data && error !== null && <Failure error={error} onRetry={refresh} />}
      {!data && error === null && <Skeleton height={330} label="Loading tenants" />}
      {data && (
        <>
          <div className="devices">
            {data.devices.devices.map((device) => (
              <DeviceCard key={device.device} device={device} />
            ))}
          </div>
          <div className="tenants">
            <Card
              title="Tenants"
              aside={
                <span className="quiet">
                  {number(data.page.resident)} of {number(data.page.total)} resident
                </span>
              }
            >
              <div className="toolbar">
                <label className="field">
                  <span>Search</span>
                  <input
                    type="search"
                    value={search}
                    maxLength={128}
                    spellCheck={false}
                    onChange={(event) => find(event.target.value)}
                  />
                </label>
                <Pager total={data.page.total} offset={data.offset} onTurn={turnTo} />
              </div>
              {data.page.tenants.length ? (
                <TenantTable
                  tenants={data.page.tenants}
                  busy={moving.busy}
                  onLoad={({ id }, reload) => move((signal) => loadTenant(id, reload, signal))}
                  onUnload={({ id }) => move((signal) => unloadTenant(id, signal))}
                  onPreview={({ id }) => {
                    setSpeaks(false);
                    void show(id).then(refresh);
                  }}
                />
              ) : (
                <EmptyState icon="lips">
                  {search ? "No tenant has such an id." : "No tenant is configured."}
                </EmptyState>
              )}
            </Card>
            <Card
              title={shown ? `Preview of ${shown.tenant}` : "Preview"}
              className="preview"
              aside={data.devices.demo && <Badge tone="quiet">demo, not trained</Badge>}
            >
              <div className="preview-frame" aria-busy={busy}>
                {speaks && clip ? (
                  <SpeakingFace clip={clip} />
                ) : preview ? (
                  <img
                    src={preview.url}
                    alt={`Frame made by ${preview.tenant}`}
                    width={320}
                    height={320}
                    // Below a long list the frame would appear where nobody looks.
                    onLoad={(event) => event.currentTarget.scrollIntoView?.({ block: "nearest" })}
                  />
                ) : (
                  <EmptyState icon="lips">
                    {sample ? (
                      <button
                        type="button"
                        className="button"
                        disabled={busy}
                        onClick={() => void show(sample.id).then(refresh)}
                      >
                        Use a sample
                      </button>
                    ) : (
                      "Choose a tenant’s preview."
                    )}
                  </EmptyState>
                )}
              </div>
              {data.devices.hears && speaker && (
                <button
                  type="button"
                  className="button"
                  disabled={busy}
                  onClick={() => {
                    setSpeaks(true);
                    void speak(speaker).then(refresh);
                  }}
                >
                  Let it speak
                </button>
              )}
              <p className="quiet">
                {speaking
                  ? "Making two seconds…"
                  : drawing
                    ? "Making a frame…"
                    : "Made when asked for: a drawn face in silence, or with a sample sound."}
              </p>
            </Card>
          </div>
        </>
      )}
    </>
  );
}
