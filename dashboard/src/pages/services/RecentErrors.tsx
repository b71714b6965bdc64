import { detailText } from "../../api/errors";
import type { Service, ServiceError } from "../../api/types";
import { Card } from "../../components/Card";
import { timeOfDay } from "../../format";

interface Entry extends ServiceError {
  service: string;
}

/** Return the errors of all services, newest first. */
export function newestErrors(services: readonly Service[]): Entry[] {
  return services
    .flatMap(({ name, recent_errors }) =>
      recent_errors.map((error) => ({ ...error, service: name })),
    )
    .sort((a, b) => b.time - a.time);
}

/** What went wrong lately, in a panel whose height does not change. */
export function RecentErrors({ services }: { services: readonly Service[] }) {
  const errors = newestErrors(services);
  return (
    <Card title="Recent errors" className="recent-errors">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable */}
      <section className="table-scroll" aria-label="List of recent errors" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Service</th>
              <th scope="col">Route</th>
              <th scope="col">Status</th>
              <th scope="col">Detail</th>
            </tr>
          </thead>
          <tbody>
            {errors.map((error, index) => (
              // Two errors can be equal in every field.
              // biome-ignore lint/suspicious/noArrayIndexKey: rows have no state of their own
              <tr key={index}>
                <td>{timeOfDay(error.time)}</td>
                <td>{error.service}</td>
                <td className="mono">{error.route}</td>
                <td>{error.status}</td>
                <td className="detail">{detailText(error.detail, error.status)}</td>
              </tr>
            ))}
            {errors.length === 0 && (
              <tr>
                <td colSpan={5} className="quiet">
                  None.
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </section>
    </Card>
  );
}
