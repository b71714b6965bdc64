import type { Service } from "../../api/types";
import { Badge } from "../../components/Badge";
import { Card } from "../../components/Card";
import { Facts } from "../../components/Facts";
import { milliseconds, number } from "../../format";
import { titleOf } from "./titles";
import { toneOf } from "./tones";

/** One service: how it is, how busy it is, and what runs in it. */
export function ServiceCard({ service }: { service: Service }) {
  return (
    <Card
      title={titleOf(service.name)}
      className="service"
      aside={<Badge tone={toneOf(service.state)}>{service.state}</Badge>}
    >
      <p className="service-detail quiet">{service.detail ?? service.urls.join("  ")}</p>
      <Facts
        facts={[
          ["Requests", `${number(service.requests_per_second, 1)} /s`],
          ["Errors", `${number(service.errors_per_second, 1)} /s`],
          ["p50", milliseconds(service.p50_ms)],
          ["p95", milliseconds(service.p95_ms)],
        ]}
      />
      <Queue queue={service.queue} />
      <Models service={service} />
    </Card>
  );
}

function Queue({ queue }: { queue: Service["queue"] }) {
  return (
    <div className="queue">
      <span>Queue</span>
      <meter
        aria-label="Slots in use"
        min={0}
        max={Math.max(queue.slots, 1)}
        high={Math.max(queue.slots, 1) * 0.8}
        optimum={0}
        value={queue.in_flight}
      />
      <span className="queue-text">
        {queue.in_flight} of {queue.slots} slots · {queue.waiting} waiting
      </span>
    </div>
  );
}

function Models({ service }: { service: Service }) {
  if (!service.models.length) return <p className="quiet">No models.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable
    <section className="table-scroll" aria-label={`Models of ${service.name}`} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Model and engine</th>
            <th scope="col">State</th>
            <th scope="col">Task</th>
            <th scope="col" className="canary">
              Canary
            </th>
          </tr>
        </thead>
        <tbody>
          {service.models.map((model) => (
            <tr key={`${model.task} ${model.name}`}>
              <th scope="row" title={`Triton: ${model.triton_model}`}>
                {model.name}
                <small className="quiet">{model.engine ?? "no engine yet"}</small>
              </th>
              <td>
                <Badge tone={toneOf(model.state)}>{model.state}</Badge>
              </td>
              <td>{model.task}</td>
              <td>{milliseconds(model.canary_ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
