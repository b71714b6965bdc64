import { services } from "../../api/client";
import type { ServicesReport } from "../../api/types";
import { Badge } from "../../components/Badge";
import { Freshness } from "../../components/Freshness";
import { EmptyState, Failure, Skeleton } from "../../components/Notice";
import { timeOfDay } from "../../format";
import { usePolling } from "../../hooks/usePolling";
import { RecentErrors } from "./RecentErrors";
import { ServiceCard } from "./ServiceCard";
import { toneOf } from "./tones";

const poll = (_: ServicesReport | null, signal: AbortSignal) => services(signal);

/** State, load and errors of every service. */
export default function ServicesPage() {
  const polled = usePolling(poll);
  const { data, error, refresh } = polled;
  return (
    <>
      <div className="toolbar">
        <Freshness polled={polled} />
        {data && (
          <p className="origin">
            <Badge tone={toneOf(data.status)}>{data.status}</Badge>
            <span className="quiet">
              {timeOfDay(data.timestamp)} · rates over {data.window_s} s
            </span>
          </p>
        )}
      </div>
      {data ? (
        <Report report={data} />
      ) : error ? (
        <Failure error={error} onRetry={refresh} />
      ) : (
        <div className="services">
          <Skeleton height={330} label="Loading services" />
          <Skeleton height={330} label="Loading services" />
        </div>
      )}
    </>
  );
}

function Report({ report }: { report: ServicesReport }) {
  if (!report.services.length)
    return <EmptyState icon="services">No service is switched on.</EmptyState>;
  return (
    <>
      {report.triton.warnings.map((warning) => (
        <p key={warning} className="origin">
          <Badge tone="warn">Triton</Badge>
          <span>{warning}</span>
        </p>
      ))}
      <div className="services">
        {report.services.map((service) => (
          <ServiceCard key={service.name} service={service} />
        ))}
      </div>
      <RecentErrors services={report.services} />
    </>
  );
}
