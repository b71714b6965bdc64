import type { LipsyncDevice } from "../../api/types";
import { Badge } from "../../components/Badge";
import { Bars } from "../../components/Bars";
import { Card } from "../../components/Card";
import { Facts } from "../../components/Facts";
import { bytes, number } from "../../format";

/** Fraction of a whole; 0 where the whole is not known. */
function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

/** One device: its memory, its tenants and its queue. */
export function DeviceCard({ device }: { device: LipsyncDevice }) {
  const { resident_bytes, memory_budget_bytes, memory_used_bytes, memory_total_bytes } = device;
  return (
    <Card
      title={`Device ${device.device}`}
      aside={
        <Badge tone={device.healthy ? "good" : "bad"}>{device.healthy ? "ready" : "down"}</Badge>
      }
    >
      <p className="quiet device-name">{device.name || "No answer from the model yet"}</p>
      <Bars
        label={`Memory of device ${device.device}`}
        bars={[
          {
            label: "Tenants",
            value: share(resident_bytes, memory_budget_bytes),
            text: `${bytes(resident_bytes)} of ${bytes(memory_budget_bytes)}`,
          },
          {
            label: "In use",
            value: share(memory_used_bytes, memory_total_bytes),
            text: `${bytes(memory_used_bytes)} of ${bytes(memory_total_bytes)}`,
          },
        ]}
      />
      <Facts
        facts={[
          ["Tenants", number(device.resident)],
          ["In work", number(device.queue.in_flight)],
          ["Waiting", number(device.queue.waiting)],
          ["Engine", device.engine || "–"],
        ]}
      />
    </Card>
  );
}
