import { Facts } from "../../components/Facts";
import { milliseconds, number } from "../../format";
import type { Enrolled } from "./useEnrollment";
import { norm } from "./vector";

/** The thumbnail, and what is known about the vector. */
export function EnrollmentResult({ enrolled }: { enrolled: Enrolled }) {
  const { answer, vector } = enrolled;
  const used = answer.images.filter((report) => report.used).length;
  return (
    <div className="enrolled">
      <img
        src={`data:image/jpeg;base64,${answer.enrollmentPictureThumbnail}`}
        alt={`Thumbnail of ${answer.employee_id}`}
        width={128}
        height={128}
      />
      <div className="enrolled-facts">
        <Facts
          facts={[
            ["Employee", answer.employee_id],
            ["Pictures", `${used} of ${answer.image_count} used`],
            ["Time", milliseconds(answer.processing_time_ms)],
            ["Vector", `${number(vector.length)} values`],
            ["Norm", number(norm(vector), 4)],
          ]}
        />
        <p className="quiet small">
          Model: {answer.model} · {answer.weights} · {answer.engine}
        </p>
      </div>
    </div>
  );
}
