import type { GpuSample } from "../../api/types";
import { number, timeOfDay } from "../../format";

const COLUMNS: readonly (readonly [string, (sample: GpuSample) => number | null])[] = [
  ["Compute %", (sample) => sample.gpu_util],
  ["Memory bus %", (sample) => sample.mem_util],
  ["Used MiB", (sample) => sample.memory_used_mb],
  ["Total MiB", (sample) => sample.memory_total_mb],
  ["Power W", (sample) => sample.power_w],
  ["Limit W", (sample) => sample.power_limit_w],
  ["Temperature °C", (sample) => sample.temperature_c],
];

/** The same readings as the charts, newest first, for those who read rather than look. */
export function ReadingsTable({ samples }: { samples: readonly GpuSample[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable
    <section className="table-scroll readings" aria-label="Readings" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {COLUMNS.map(([name]) => (
              <th key={name} scope="col" className="numeric">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {samples.toReversed().map((sample) => (
            <tr key={sample.timestamp}>
              <th scope="row">{timeOfDay(sample.timestamp)}</th>
              {COLUMNS.map(([name, read]) => (
                <td key={name} className="numeric">
                  {number(read(sample))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
